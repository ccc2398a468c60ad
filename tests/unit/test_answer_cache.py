"""Answers kept for a moment, and the stamps that say when they are worth nothing."""

import threading
from collections.abc import Callable

import pytest

from api import answer_cache
from api.answer_cache import AnswerCache, Questions
from api.change_stamps import DECISIONS_APART_SECONDS, ChangeStamps
from api.responses import ReadyAnswer
from shared.errors import NotFoundError


class Source:
    """Counts how often it is asked; each answer is another."""

    def __init__(self, size: int = 10) -> None:
        self.asked, self._size = 0, size

    def load(self) -> ReadyAnswer:
        self.asked += 1
        return ReadyAnswer(b"x" * self._size, str(self.asked))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the cache's clock forward."""
    now = [1_000.0]
    monkeypatch.setattr(answer_cache.time, "monotonic", lambda: now[0])

    def move(seconds: float) -> None:
        now[0] += seconds

    return move


def same() -> bytes:
    return b"same"


class TestAnAnswer:
    def test_is_given_again_for_its_time_and_no_longer(self, clock) -> None:
        cache, source = AnswerCache(0.5), Source()
        for step, asked in ((0.0, 1), (0.49, 1), (0.02, 2), (0.4, 2)):
            clock(step)
            assert cache.get("k", same, source.load).etag == str(asked)

    def test_is_as_old_as_the_moment_before_it_was_read(self, clock) -> None:
        cache, source = AnswerCache(0.5), Source()

        def slowly() -> ReadyAnswer:
            clock(0.4)
            return source.load()

        cache.get("k", same, slowly)
        clock(0.11)
        assert cache.get("k", same, source.load).etag == "2"

    def test_is_worth_nothing_after_a_change(self) -> None:
        cache, source = AnswerCache(100), Source()
        assert cache.get("k", lambda: b"1", source.load).etag == "1"
        assert cache.get("k", lambda: b"2", source.load).etag == "2"

    def test_read_during_a_change_is_not_kept(self) -> None:
        """The stamps are those from before it was read."""
        stamps = [b"1"]
        cache, source = AnswerCache(100), Source()

        def load_and_change() -> ReadyAnswer:
            stamps[0] = b"2"
            return source.load()

        cache.get("k", lambda: stamps[0], load_and_change)
        assert cache.get("k", lambda: stamps[0], source.load).etag == "2"

    def test_that_is_not_for_everybody_is_not_kept(self) -> None:
        cache, source = AnswerCache(100), Source()
        assert cache.get("k", same, lambda: None) is None
        assert cache.get("k", same, source.load).etag == "1"

    def test_is_read_anew_each_time_when_switched_off(self) -> None:
        cache, source = AnswerCache(0), Source()
        assert [cache.get("k", same, source.load).etag for _ in range(2)] == ["1", "2"]


class TestMemory:
    def test_is_bounded_in_bytes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(answer_cache, "BYTES_MAX", 10_000)
        cache, source = AnswerCache(100), Source(size=2_000)
        for key in range(20):
            cache.get(key, same, source.load)
            assert cache._bytes == sum(entry.answer.size for entry in cache._entries.values()) <= 10_000
        assert set(cache._entries) == {17, 18, 19}

    def test_is_bounded_in_entries_and_keeps_what_is_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(answer_cache, "ENTRIES_MAX", 3)
        cache, source = AnswerCache(100), Source()
        for key in range(10):
            cache.get(key, same, source.load)
            cache.get("used", same, source.load)
        assert set(cache._entries) == {8, 9, "used"}

    def test_of_questions_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(answer_cache, "QUERIES_MAX", 3)
        questions = Questions()
        for number in range(10):
            assert questions.parse("/", str(number).encode(), lambda number=number: number) == number
            assert len(questions._known) <= 3
        assert questions.parse("/", b"9", lambda: pytest.fail("parsed twice")) == 9


class Crowd:
    """Threads that ask while the first of them is still being answered."""

    def __init__(self, cache: AnswerCache, stamps: Callable[[], bytes] = same) -> None:
        self.cache, self.stamps = cache, stamps
        self.asked, self.go_on = threading.Event(), threading.Event()
        self.given: list[object] = []

    def slowly(self) -> ReadyAnswer:
        self.asked.set()
        assert self.go_on.wait(10)
        return ReadyAnswer(b"x", "slow")

    def fails(self) -> ReadyAnswer:
        self.slowly()
        raise NotFoundError("event_not_found")

    def ask(self, load: Callable[[], ReadyAnswer]) -> threading.Thread:
        def run() -> None:
            try:
                self.given.append(self.cache.get("k", self.stamps, load).etag)
            except NotFoundError as error:
                self.given.append(error.code)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def ask_together(self, load: Callable[[], ReadyAnswer], count: int) -> None:
        threads = [self.ask(load)]
        assert self.asked.wait(10)
        threads += [self.ask(lambda: pytest.fail("asked twice")) for _ in range(count - 1)]
        self.go_on.set()
        for thread in threads:
            thread.join(10)


class TestTogether:
    def test_many_are_one_question(self) -> None:
        crowd = Crowd(AnswerCache(100))
        crowd.ask_together(crowd.slowly, 20)
        assert crowd.given == ["slow"] * 20

    def test_an_error_is_for_all_of_them_and_not_kept(self) -> None:
        crowd = Crowd(AnswerCache(100))
        crowd.ask_together(crowd.fails, 5)
        assert crowd.given == ["event_not_found"] * 5
        assert crowd.cache.get("k", same, Source().load).etag == "1"

    def test_nobody_waits_for_a_question_from_before_a_change(self) -> None:
        stamps = [b"1"]
        crowd = Crowd(AnswerCache(100), lambda: stamps[0])
        first = crowd.ask(crowd.slowly)
        assert crowd.asked.wait(10)
        stamps[0] = b"2"
        source = Source()
        assert crowd.cache.get("k", crowd.stamps, source.load).etag == "1"
        crowd.go_on.set()
        first.join(10)
        assert crowd.given == ["slow"]
        assert crowd.cache.get("k", crowd.stamps, source.load).etag == "1"  # the late one did not replace it

    def test_nobody_waits_for_a_question_older_than_an_answer_may_be(self, clock) -> None:
        crowd = Crowd(AnswerCache(0.5))
        first = crowd.ask(crowd.slowly)
        assert crowd.asked.wait(10)
        clock(0.6)
        assert crowd.cache.get("k", same, Source().load).etag == "1"
        crowd.go_on.set()
        first.join(10)


class TestStamps:
    @pytest.fixture
    def pair(self, tmp_path):
        """Two processes of one machine."""
        both = [ChangeStamps(tmp_path / "shared") for _ in range(2)]
        for stamps in both:
            stamps.share()
        return both

    def test_are_seen_by_the_other_process(self, pair) -> None:
        here, there = pair
        before = (there.of_event(7), there.of_event(8), there.of_lists())
        here.event_changed(7)
        assert there.of_event(7) != before[0]
        assert there.of_event(8) == before[1]
        assert there.of_lists() != before[2]

    def test_everything_is_every_answer(self, pair) -> None:
        here, there = pair
        before = (there.of_event(7), there.of_lists())
        here.everything_changed()
        assert (there.of_event(7), there.of_lists()) != before
        assert there.of_event(7) != before[0]

    def test_a_new_event_and_a_decision_are_one_kind_each(self, pair) -> None:
        here, there = pair
        event, lists = there.of_event(7), there.of_lists()
        here.event_created()
        assert (there.of_event(7) == event, there.of_lists() == lists) == (True, False)
        event, lists = there.of_event(7), there.of_lists()
        here.event_decided(7)
        assert (there.of_event(7) == event, there.of_lists() == lists) == (False, True)

    def test_of_decisions_are_no_more_than_anybody_can_see(self, pair, clock) -> None:
        here, there = pair
        here.event_decided(7)
        seen = there.of_event(7)
        here.event_decided(7)
        assert there.of_event(7) == seen
        clock(2 * DECISIONS_APART_SECONDS)
        here.event_decided(7)
        assert there.of_event(7) != seen

    def test_of_a_decision_told_right_after_another_come_later_and_once(self, pair, clock) -> None:
        here, there = pair
        here.event_decided(7)
        here.event_decided(7)
        seen = there.of_event(7)
        clock(2 * DECISIONS_APART_SECONDS)
        late = there.of_event(7)
        assert late != seen
        clock(2 * DECISIONS_APART_SECONDS)
        assert (here.of_event(7), there.of_event(7)) == (late, late)

    def test_stay_in_the_process_until_they_are_shared(self, tmp_path) -> None:
        stamps = ChangeStamps(tmp_path / "shared")
        before = stamps.of_lists()
        stamps.event_created()
        assert stamps.of_lists() != before
        assert not (tmp_path / "shared").exists()

    def test_stay_in_the_process_where_no_file_can_be(self, tmp_path, caplog) -> None:
        (tmp_path / "file").write_text("")
        stamps = ChangeStamps(tmp_path / "file" / "shared")
        stamps.share()
        before = stamps.of_lists()
        stamps.event_created()
        assert stamps.of_lists() != before
        assert [record.message for record in caplog.records] == [
            "changes are seen by other processes only in time"
        ]
