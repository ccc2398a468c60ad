"""Quarantine is a decision, and only for what is the request's own fault."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine

from shared.domain import allocation
from shared.line import keys
from shared.line.take import take
from shared.settings import Settings
from tests.crash.flows import Desk, recover
from tests.crash.lives import Lives, started_lives
from tests.lines import LineDriver, await_that
from worker import batch
from worker.booking_worker import BookingWorker
from worker.compose import make_booking_worker

PARTITION = 3
FAILED = ("failed", "request_failed")


@pytest.fixture
def worker(settings: Settings) -> Iterator[BookingWorker]:
    worker = make_booking_worker(settings, "crash", 1)
    yield worker
    worker._let_go()


def empty_line(desk: Desk, worker: BookingWorker) -> None:
    def step() -> bool:
        worker.run_once()
        return desk.count_undecided() == 0

    await_that(step, what="an empty line")


class TestOurCodeFailsOnOne:
    @pytest.fixture(autouse=True)
    def poison(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        judge, poisonous = allocation.judge_book, desk.users[2]

        def judge_or_fail(snapshot: object, event: object, request: object, now: object) -> object:
            if request.user_id == poisonous:  # type: ignore[attr-defined]
                raise ZeroDivisionError("planted")
            return judge(snapshot, event, request, now)  # type: ignore[arg-type]

        monkeypatch.setattr(allocation, "judge_book", judge_or_fail)

    def test_it_fails_at_its_place_and_nobody_else(self, desk: Desk, worker: BookingWorker) -> None:
        event, other = desk.open_events(2, capacity=4)
        asked = desk.book_each(event)
        desk.book(other, desk.users[0])
        empty_line(desk, worker)
        confirmed, rejected = ("confirmed", None), ("rejected", "sold_out")
        assert [row[1:] for row in desk.outcomes(event)] == [
            confirmed, confirmed, FAILED, confirmed, confirmed, rejected, rejected, rejected,
        ]  # fmt: skip
        job = asked[2].job_id
        found = desk.line.find_job(job)
        assert not isinstance(found, str)
        assert found.result is not None
        assert found.result["outcome"] == "failed"
        assert desk.redis.zrange(keys.failed(PARTITION), 0, -1) == [str(job).encode()]
        desk.assert_kept(failed=[job])

    def test_it_stays_failed_when_decided_again(
        self, desk: Desk, worker: BookingWorker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The decision is committed and its reply lost: whoever recovers does not judge again."""
        event = desk.open_events(1)[0]
        asked = desk.book_each(event, desk.users[:4])
        with monkeypatch.context() as patch:
            patch.setattr(batch, "reply", lose)
            for _ in range(4):
                worker.run_once()
        assert desk.count_decided() == 4
        monkeypatch.undo()
        empty_line(desk, worker)
        desk.assert_kept(failed=[asked[2].job_id])


def lose(*_: object, **__: object) -> None:
    raise OSError("planted")


def test_a_call_off_that_our_code_fails_on(
    desk: Desk, worker: BookingWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line must not stand for ever behind it."""
    event = desk.open_events(1)[0]
    desk.book_each(event, desk.users[:2])
    empty_line(desk, worker)
    job = desk.call_off(event)
    other = desk.open_events(1)[0]
    desk.book(other, desk.users[0])
    monkeypatch.setattr(batch, "decide_slice", divide_by_zero)
    empty_line(desk, worker)
    assert [row[1:] for row in desk.outcomes(event)][2:] == [FAILED]
    assert [row[1] for row in desk.outcomes(other)] == ["confirmed"]
    desk.assert_kept(failed=[job])


def divide_by_zero(*_: object, **__: object) -> None:
    raise ZeroDivisionError("planted")


class TestDataErrors:
    @pytest.fixture
    def refuse_user(self, desk: Desk) -> Callable[[int, str], None]:
        def refuse(user_id: int, sqlstate: str) -> None:
            desk.execute(
                f"""create function refuse_it() returns trigger language plpgsql as $$
                begin
                    if new.user_id = {user_id} then raise exception 'planted' using errcode = '{sqlstate}'; end if;
                    return new;
                end $$"""
            )
            desk.execute(
                "create trigger refuse_it before insert on bookings execute function refuse_it()".replace(
                    "execute", "for each row execute"
                )
            )

        return refuse

    @pytest.mark.parametrize("sqlstate", ["23514", "22003"])
    def test_found_by_deciding_one_by_one(
        self, desk: Desk, worker: BookingWorker, refuse_user: Callable[[int, str], None], sqlstate: str
    ) -> None:
        event = desk.open_events(1, capacity=4)[0]
        refuse_user(desk.users[1], sqlstate)
        asked = desk.book_each(event)
        empty_line(desk, worker)
        assert [row[1] for row in desk.outcomes(event)] == [
            "confirmed", "failed", *["confirmed"] * 3, *["rejected"] * 3,
        ]  # fmt: skip
        desk.assert_kept(failed=[asked[1].job_id])

    def test_one_that_passes_alone_is_not_failed(
        self, desk: Desk, worker: BookingWorker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An error of the batch as a whole, which no request has by itself."""
        event = desk.open_events(1, capacity=4)[0]
        desk.execute(
            """create function refuse_many() returns trigger language plpgsql as $$
            begin
                if (select count(*) from added) > 1 then
                    raise exception 'planted' using errcode = '23505';
                end if;
                return null;
            end $$"""
        )
        desk.execute(
            "create trigger refuse_many after insert on bookings referencing new table as added "
            "for each statement execute function refuse_many()"
        )
        desk.book_each(event)
        empty_line(desk, worker)
        desk.assert_kept()


class TestDeaths:
    @pytest.fixture
    def lives(self, settings: Settings) -> Iterator[Lives]:
        with started_lives(settings) as lives:
            yield lives

    def test_a_request_that_kills_every_process_is_quarantined(
        self, desk: Desk, lives: Lives, settings: Settings, engine: Engine
    ) -> None:
        event = desk.open_events(1, capacity=4)[0]
        deadly = desk.users[2]
        asked = desk.book_each(event)
        deaths = 0
        while lives.live(user=deadly).killed_at is not None:
            desk.redis.delete(keys.LIVE_WORKERS)
            deaths += 1
            assert deaths <= 5
        # two with the batch in flight, then three alone
        assert deaths == batch.DEATHS_BEFORE_ALONE + batch.DEATHS_BEFORE_QUARANTINE
        assert [row[1] for row in desk.outcomes(event)] == [
            "confirmed", "confirmed", "failed", "confirmed", "confirmed", *["rejected"] * 3,
        ]  # fmt: skip
        desk.assert_kept(failed=[asked[2].job_id])

    def test_two_of_them_are_quarantined_each_by_itself(
        self, desk: Desk, lives: Lives, settings: Settings, engine: Engine
    ) -> None:
        event = desk.open_events(1, capacity=4)[0]
        deadly = desk.users[0]
        asked = [desk.book(event, deadly), desk.book(event, deadly), desk.book(event, desk.users[1])]
        for _ in range(2 * 5):
            if lives.live(user=deadly).killed_at is None:
                break
            desk.redis.delete(keys.LIVE_WORKERS)
        desk.assert_kept(failed=[asked[0].job_id, asked[1].job_id])

    def test_any_reply_clears_the_count(
        self, desk: Desk, lives: Lives, settings: Settings, engine: Engine
    ) -> None:
        event = desk.open_events(1)[0]
        for _ in range(batch.DEATHS_BEFORE_ALONE + batch.DEATHS_BEFORE_QUARANTINE + 1):
            desk.book_each(event, desk.users[:2])
            assert lives.live(at=7, batches_only=True).killed_at is not None
            desk.redis.delete(keys.LIVE_WORKERS)
            recover(settings, engine)
            assert not desk.redis.exists(keys.suspects(PARTITION), keys.alone(PARTITION))
        desk.assert_kept()

    def test_progress_of_a_call_off_clears_it_too(
        self, desk: Desk, lives: Lives, settings: Settings, engine: Engine
    ) -> None:
        """However often workers are killed while it is worked off, as long as a slice gets done each time."""
        event = desk.open_events(1, capacity=20)[0]
        desk.book_each(event)
        recover(settings, engine)
        desk.call_off(event)
        for _ in desk.users[1:]:
            # at least guard, take, recorded, alone, three loads, slice, commit, progress: one slice is done
            assert lives.live(at=12, batches_only=True, slice_size=1).killed_at is not None
            desk.redis.delete(keys.LIVE_WORKERS)
        assert desk.query("select count(*) from decisions where kind = 'call_off_slice'")[0][0] >= 5
        recover(settings, engine)
        assert desk.query("select booked from events where id = :id", id=event) == [(0,)]
        desk.assert_kept()

    def test_a_stopped_worker_is_not_a_dead_one(
        self, desk: Desk, driver: LineDriver, settings: Settings
    ) -> None:
        """It lives on after its claim is gone, and takes its count back."""
        event = desk.open_events(1)[0]
        desk.book_each(event)
        worker = make_booking_worker(settings, "crash", 2)
        try:
            worker._housekeep()
            session = worker._session
            assert session is not None
            claim = session.held[PARTITION]
            assert claim is not None
            take(driver.runner, claim, maximum=10, worker_name="stopped", instance=worker._batches.instance)
            assert desk.redis.scard(keys.suspects(PARTITION)) == 1
            desk.query("select pg_terminate_backend(:pid)", pid=session.cursor.connection.get_backend_pid())
            worker._claim_timer._next = float("inf")
            worker.run_once()
            assert desk.redis.scard(keys.suspects(PARTITION)) == 0
        finally:
            worker._let_go()
        driver.decide_all()
        desk.assert_kept()
