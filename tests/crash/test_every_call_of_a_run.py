"""A line deep enough for a run of batches, of which two are in flight at a time, and a worker killed with SIGKILL before
and after every single call.
"""

import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from redis.exceptions import NoScriptError
from sqlalchemy import Engine

from shared.db import transaction
from shared.line import keys
from shared.line.take import OutdatedTokenError
from shared.services import line_pause
from shared.settings import Settings
from tests.crash.flows import Desk
from tests.crash.rest import assert_at_rest
from tests.lines import LineDriver
from worker.ahead import Ahead, Turn
from worker.batch import BatchRunner

PARTITION = 3
BATCH = 2
CAPACITY = 4
SEATED = [(arrival, "confirmed", None) for arrival in range(1, CAPACITY + 1)]
REFUSED = [(arrival, "rejected", "sold_out") for arrival in range(CAPACITY + 1, 10)]
# The first batch of a process is replied before the next is taken; of the rest, all but the first are taken ahead. The
# last one is short, and what was to stand behind it is asked for before that is known.
BATCHES = 5
TAKES = BATCHES + 1


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A worker that decides two requests at a time."""
    return replace(settings, batch_max=BATCH)


class Sale:
    """Nine people want the four tickets of an event, again and again."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._event = 0
        self._jobs: list[uuid.UUID] = []

    def ask(self) -> None:
        (self._event,) = self._desk.open_events(1, partition=PARTITION, capacity=CAPACITY)
        self._jobs = [answer.job_id for answer in self._desk.book_each(self._event)]
        self._jobs.append(self._desk.book(self._event, self._desk.host and self._desk.host.id).job_id)

    def check(self) -> None:
        assert self._desk.outcomes(self._event) == [*SEATED, *REFUSED]
        assert_at_rest(self._desk, [self._event], self._jobs)


@pytest.fixture
def sale(desk: Desk) -> Sale:
    return Sale(desk)


def test_leaves_what_a_worker_that_lives_would_have_left(
    desk: Desk, sale: Sale, sweep: Callable[..., list[str]]
) -> None:
    points = Counter(sweep(sale.ask, check=sale.check, batches_only=True))
    assert points["commit"] == points["EVALSHA reply"] == BATCHES
    assert points["EVALSHA take"] == TAKES
    desk.assert_kept()


class TestTheSameCheck:
    """Of a worker that does it wrongly says so, or it would prove nothing of one that does it right."""

    def test_sees_a_reply_before_the_commit(self, sale: Sale, sweep: Callable[..., list[str]]) -> None:
        with pytest.raises(AssertionError):
            sweep(sale.ask, check=sale.check, batches_only=True, replies_first=True)

    def test_sees_that_nobody_recovers(self, desk: Desk, sale: Sale, sweep: Callable[..., list[str]]) -> None:
        def forget() -> None:
            desk.redis.delete(keys.in_flight(PARTITION))

        with pytest.raises(AssertionError):
            sweep(sale.ask, check=sale.check, before_recovery=forget, batches_only=True)


class Run:
    """A worker in a deep line, and what is in flight while it writes."""

    def __init__(self, desk: Desk, driver: LineDriver, monkeypatch: pytest.MonkeyPatch) -> None:
        self.desk, self.driver, self._patch = desk, driver, monkeypatch
        self.event = desk.open_events(1, partition=PARTITION, capacity=CAPACITY)[0]
        driver.claim()

    def warm_up(self) -> None:
        """What a process does first: a batch by itself."""
        self.desk.book_each(self.event, self.desk.users[:BATCH])
        assert self.run() == BATCH

    def run(self) -> int | str:
        """One run, as long as batches are full."""
        claim = self.driver.session.held[PARTITION]
        assert claim is not None
        return self.driver.batches.run_once(self.driver.session, claim, Turn(lambda _: True))

    def at_commit(self, number: int, do: Callable[[], object], *, before: bool = False) -> None:
        """Calls `do` at that commit from now on."""
        commit, commits = BatchRunner._commit, iter(range(1, 100))

        def committing(runner: BatchRunner, session: object) -> None:
            chosen = next(commits) == number
            if chosen and before:
                do()
            commit(runner, session)  # type: ignore[arg-type]
            if chosen and not before:
                do()

        self._patch.setattr(BatchRunner, "_commit", committing)

    def in_flight(self) -> int:
        return int(self.desk.redis.llen(keys.in_flight(PARTITION)))


@pytest.fixture
def run(desk: Desk, driver: LineDriver, monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(desk, driver, monkeypatch)


class TestRun:
    def test_decides_everything_that_waits(self, desk: Desk, run: Run) -> None:
        run.warm_up()
        desk.book_each(run.event, desk.users[BATCH:])
        assert run.run() == len(desk.users) - BATCH
        assert [arrival for arrival, _, _ in desk.outcomes(run.event)] == list(range(1, 9))
        desk.assert_kept()

    def test_has_two_batches_in_flight(self, desk: Desk, run: Run) -> None:
        run.warm_up()
        desk.book_each(run.event, desk.users[BATCH:])
        seen: list[int] = []
        run.at_commit(2, lambda: seen.append(run.in_flight()), before=True)
        run.run()
        assert seen == [2 * BATCH]

    def test_ends_when_it_is_told_to(self, desk: Desk, run: Run, driver: LineDriver) -> None:
        run.warm_up()
        desk.book_each(run.event, desk.users[BATCH:])
        goes_on = iter([True, False])
        claim = driver.session.held[PARTITION]
        assert claim is not None
        assert driver.batches.run_once(driver.session, claim, Turn(lambda _: next(goes_on))) == 2 * BATCH
        assert run.in_flight() == 0

    @pytest.mark.parametrize("in_flight", [False, True])
    def test_is_told_when_another_line_waits(
        self, desk: Desk, run: Run, driver: LineDriver, in_flight: bool
    ) -> None:
        run.warm_up()
        desk.book_each(run.event, desk.users[BATCH:])
        other, told = desk.open_events(1, partition=PARTITION + 1)[0], []

        def may_go_on(others_wait: bool) -> bool:
            told.append(others_wait)
            return True

        def book() -> None:
            desk.book(other, desk.users[0])
            if in_flight:  # a rest, which nobody has in hand
                desk.redis.lmove(keys.queue(PARTITION + 1), keys.in_flight(PARTITION + 1))

        run.at_commit(1, book)
        claim = driver.session.held[PARTITION]
        assert claim is not None
        driver.batches.run_once(driver.session, claim, Turn(may_go_on, [PARTITION + 1]))
        assert (told[0], told[-1]) == (False, True)

    def test_counts_as_one_that_may_end_with_what_it_took_ahead(
        self, desk: Desk, run: Run, driver: LineDriver
    ) -> None:
        run.warm_up()
        desk.book_each(run.event, desk.users[BATCH:])
        run.at_commit(2, fail, before=True)
        with pytest.raises(PlantedError):
            run.run()
        assert desk.redis.smembers(keys.suspects(PARTITION)) == {driver.batches.instance.encode()}

    def test_recovers_by_itself_from_what_is_in_flight(
        self, desk: Desk, run: Run, driver: LineDriver
    ) -> None:
        run.warm_up()
        desk.book_each(run.event, desk.users[BATCH:])
        run.at_commit(2, fail, before=True)
        with pytest.raises(PlantedError):
            run.run()
        driver.session.rollback()
        driver.decide_all()
        desk.assert_kept()


class TestCallOff:
    def test_puts_back_what_was_taken_behind_it(self, desk: Desk, run: Run, driver: LineDriver) -> None:
        run.warm_up()
        desk.book_each(run.event, desk.users[BATCH:5])
        desk.call_off(run.event)
        late = [answer.job_id for answer in desk.book_each(run.event, desk.users[5:])]
        assert run.run() == BATCH + 1  # a batch, and of the next what stands before the call-off
        assert run.in_flight() == 1
        waiting = [id_.decode() for id_ in desk.redis.lrange(keys.queue(PARTITION), 0, -1)]
        assert waiting == [str(job_id) for job_id in late]
        desk.withdraw(late[0])  # which only who waits can
        driver.decide_all()
        assert [arrival for arrival, _, _ in desk.outcomes(run.event)] == list(range(1, 10))
        desk.assert_kept()


class TestPause:
    def test_puts_back_what_was_taken_ahead(
        self, desk: Desk, run: Run, driver: LineDriver, engine: Engine
    ) -> None:
        run.warm_up()
        jobs = [answer.job_id for answer in desk.book_each(run.event, desk.users[BATCH:])]
        run.at_commit(1, lambda: pause(engine))
        assert run.run() == BATCH
        assert run.run() == "paused"
        assert run.in_flight() == 0
        assert [id_.decode() for id_ in desk.redis.lrange(keys.queue(PARTITION), 0, -1)] == [
            str(job_id) for job_id in jobs[BATCH:]
        ]
        desk.withdraw(jobs[BATCH])  # which only who waits can
        with transaction(engine) as session:
            line_pause.resume(session, actor_id=None)
        driver.decide_all()
        assert desk.outcomes(run.event)[2 * BATCH] == (5, "withdrawn", "withdrawn_by_user")
        desk.assert_kept()

    def test_puts_back_a_short_batch_too(
        self, desk: Desk, run: Run, driver: LineDriver, engine: Engine
    ) -> None:
        """Behind which something was asked for before it was known to be short."""
        run.warm_up()
        jobs = [answer.job_id for answer in desk.book_each(run.event, desk.users[BATCH:7])]
        run.at_commit(2, lambda: pause(engine))
        assert run.run() == 2 * BATCH
        assert run.run() == "paused"
        assert run.in_flight() == 0
        assert desk.redis.lrange(keys.queue(PARTITION), 0, -1) == [str(jobs[-1]).encode()]
        with transaction(engine) as session:
            line_pause.resume(session, actor_id=None)
        driver.decide_all()
        desk.assert_kept()


class TestReply:
    def test_leaves_before_the_next_batch_is_read(
        self, desk: Desk, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Redis would have nothing to do meanwhile."""
        run.warm_up()
        desk.book_each(run.event, desk.users[BATCH:])
        told: list[str] = []

        def note(function: Callable[..., object], name: str) -> Callable[..., object]:
            def noting(*arguments: Any) -> object:
                told.append(name)
                return function(*arguments)

            return noting

        for name in ("reply", "take", "fetch_next"):
            monkeypatch.setattr(Ahead, name, note(getattr(Ahead, name), name))
        run.run()
        assert told[:7] == ["take", "reply", "take", "fetch_next", "reply", "take", "fetch_next"]


class TestSomethingForeignInFlight:
    def test_is_put_back_by_nobody(self, desk: Desk, run: Run, driver: LineDriver, engine: Engine) -> None:
        """Such as what a late `take` of a connection that broke has moved there."""
        run.warm_up()
        desk.book_each(run.event, desk.users[BATCH:])

        def meddle() -> None:
            desk.redis.lmove(keys.queue(PARTITION), keys.in_flight(PARTITION))
            pause(engine)

        run.at_commit(1, meddle)
        run.run()
        assert run.run() == "paused"
        waiting = desk.redis.lrange(keys.queue(PARTITION), 0, -1)
        flying = desk.redis.lrange(keys.in_flight(PARTITION), 0, -1)
        assert len({*waiting, *flying}) == len(waiting) + len(flying)
        with transaction(engine) as session:
            line_pause.resume(session, actor_id=None)
        driver.decide_all()
        desk.assert_kept()


class TestAnotherHolder:
    def test_is_noticed_at_the_next_answer(self, desk: Desk, run: Run) -> None:
        run.warm_up()
        desk.book_each(run.event, desk.users[BATCH:])
        token = keys.claim_token(PARTITION)
        run.at_commit(1, lambda: desk.redis.incr(token))
        with pytest.raises(OutdatedTokenError):
            run.run()

    def test_keeps_what_was_decided_under_its_token(self, desk: Desk, run: Run, driver: LineDriver) -> None:
        run.warm_up()
        desk.book_each(run.event, desk.users[BATCH:])
        run.at_commit(1, lambda: desk.redis.incr(keys.claim_token(PARTITION)))
        with pytest.raises(OutdatedTokenError):
            run.run()
        driver.session.rollback()
        driver.fence()
        driver.decide_all()
        desk.assert_kept()


class TestScriptsThatRedisForgot:
    def test_are_sent_again_with_the_next_batch(self, desk: Desk, run: Run, driver: LineDriver) -> None:
        run.warm_up()
        desk.book_each(run.event, desk.users[BATCH:])
        run.at_commit(1, desk.redis.script_flush)
        with pytest.raises(NoScriptError):
            run.run()
        driver.session.rollback()
        driver.decide_all()
        desk.assert_kept()


class PlantedError(Exception):
    """An error that the test planted."""


def fail() -> None:
    raise PlantedError


def pause(engine: Engine) -> None:
    with transaction(engine) as session:
        line_pause.pause(session, actor_id=None)
