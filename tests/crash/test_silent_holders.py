"""A holder that is stopped, cut off or thinks too long loses its claim; when it wakes up it changes nothing."""

import os
import signal
from collections.abc import Iterator

import psycopg2
import pytest
from sqlalchemy import Engine

from shared.line import keys
from shared.line.take import Claim, OutdatedTokenError
from shared.settings import Settings
from tests.crash.flows import Desk, Flow
from tests.lines import LineDriver, await_that, worker_process
from worker import batch
from worker.batch import CommitUnknownError
from worker.claims import ClaimLostError, ClaimSession

PARTITION = 3


@pytest.fixture
def successor(settings: Settings, engine: Engine) -> Iterator[LineDriver]:
    driver = LineDriver(settings, engine, "successor")
    yield driver
    driver.close()


@pytest.fixture
def session(settings: Settings) -> Iterator[ClaimSession]:
    """A claim session as a worker has it, which nobody keeps awake."""
    session = ClaimSession(settings.database_url, "silent")
    yield session
    session.close()


def end_session(desk: Desk, driver: LineDriver) -> None:
    """What PostgreSQL does to a silent holder."""
    pid = driver.session.cursor.connection.get_backend_pid()
    desk.query("select pg_terminate_backend(:pid)", pid=pid)
    await_that(
        lambda: not desk.query("select 1 from pg_stat_activity where pid = :pid", pid=pid), what="its end"
    )


def take_over(desk: Desk, holder: LineDriver, successor: LineDriver) -> None:
    """The holder's session ends, and the successor claims and fences its partition."""
    end_session(desk, holder)
    assert successor.claim(PARTITION) == [PARTITION]


def in_flight(desk: Desk) -> list[str]:
    return [raw.decode() for raw in desk.redis.lrange(keys.in_flight(PARTITION), 0, -1)]


class TestTakenOver:
    def test_before_its_commit(
        self, desk: Desk, driver: LineDriver, successor: LineDriver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        event = desk.open_events(1, capacity=4)[0]
        desk.book_each(event)
        driver.claim(PARTITION)
        commit = batch.BatchRunner._commit

        def commit_late(self: batch.BatchRunner, session: ClaimSession) -> None:
            if self is driver.batches:
                take_over(desk, driver, successor)
                assert successor.decide(PARTITION) == len(desk.users)
            commit(self, session)

        monkeypatch.setattr(batch.BatchRunner, "_commit", commit_late)
        with pytest.raises(CommitUnknownError):
            driver.decide(PARTITION)
        assert [outcome for _, outcome, _ in desk.outcomes(event)] == ["confirmed"] * 4 + ["rejected"] * 4
        desk.assert_kept()

    def test_after_its_commit_before_its_reply(
        self, desk: Desk, driver: LineDriver, successor: LineDriver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        event = desk.open_events(1, capacity=4)[0]
        desk.book_each(event, desk.users[:4])
        driver.claim(PARTITION)
        taken_by_successor: list[str] = []
        reply = batch.reply

        def reply_late(*arguments: object, **fields: object) -> None:
            if arguments[0] is driver.runner:
                take_over(desk, driver, successor)
                assert successor.decide(PARTITION) == 4
                desk.book_each(event, desk.users[4:])
                monkeypatch.setattr(batch, "reply", die_before_the_reply)
                with pytest.raises(KeyboardInterrupt):
                    successor.decide(PARTITION)
                monkeypatch.setattr(batch, "reply", reply_late)
                taken_by_successor.extend(in_flight(desk))
            reply(*arguments, **fields)  # type: ignore[arg-type]

        monkeypatch.setattr(batch, "reply", reply_late)
        with pytest.raises(OutdatedTokenError):
            driver.decide(PARTITION)
        assert len(taken_by_successor) == 4
        assert in_flight(desk) == taken_by_successor  # the late reply removed nothing
        assert successor.decide(PARTITION) == 4
        desk.assert_kept()

    def test_between_guard_and_take(
        self, desk: Desk, driver: LineDriver, successor: LineDriver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        event = desk.open_events(1)[0]
        desk.book_each(event)
        driver.claim(PARTITION)
        take = batch.line_take.take

        def take_late(runner: object, claim: Claim, **fields: object) -> object:
            if claim == driver.session.held[PARTITION]:
                take_over(desk, driver, successor)
            return take(runner, claim, **fields)  # type: ignore[arg-type]

        monkeypatch.setattr(batch.line_take, "take", take_late)
        with pytest.raises(OutdatedTokenError):
            driver.decide(PARTITION)
        assert in_flight(desk) == []
        assert successor.decide(PARTITION) == len(desk.users)
        desk.assert_kept()

    def test_and_its_set_aside_does_nothing(
        self, desk: Desk, driver: LineDriver, successor: LineDriver
    ) -> None:
        event = desk.open_events(1)[0]
        desk.book(event)
        driver.claim(PARTITION)
        old = driver.session.held[PARTITION]
        assert old is not None
        take_over(desk, driver, successor)
        current = successor.session.held[PARTITION]
        assert current is not None
        taken = batch.line_take.take(
            successor.runner, current, maximum=10, worker_name="successor", instance="successor"
        )
        assert not isinstance(taken, str)
        job_id = taken.requests[0].job_id
        with pytest.raises(OutdatedTokenError):
            batch.line_take.set_aside(driver.runner, old, {str(job_id): None}, ttl_seconds=60)
        with pytest.raises(OutdatedTokenError):
            batch.line_take.begin_alone(driver.runner, old, job_id, "holder")
        assert in_flight(desk) == [str(job_id)]
        assert successor.decide(PARTITION) == 1
        desk.assert_kept()


def die_before_the_reply(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


class TestLostLock:
    def test_is_seen_before_anything_is_taken(self, desk: Desk, driver: LineDriver) -> None:
        """A transaction pooler would break the lock silently: another backend, or its `discard all`."""
        event = desk.open_events(1)[0]
        desk.book_each(event)
        driver.claim(PARTITION)
        driver.session.cursor.execute("select pg_advisory_unlock_all()")
        with pytest.raises(ClaimLostError):
            driver.decide(PARTITION)
        assert in_flight(desk) == []
        assert desk.count_decided() == 0

    def test_another_partitions_lock_does_not_count(self, desk: Desk, driver: LineDriver) -> None:
        driver.claim(PARTITION, PARTITION + 1)
        driver.session.cursor.execute("select pg_advisory_unlock(%s, %s)", (4702, PARTITION))
        with pytest.raises(ClaimLostError):
            driver.decide(PARTITION)

    def test_a_silent_session_is_ended_by_postgresql(self, desk: Desk, session: ClaimSession) -> None:
        """The lock would otherwise be kept for ever by a process that is stopped."""
        session.claim([PARTITION])
        await_that(
            lambda: not desk.query("select 1 from pg_locks where locktype = 'advisory' and classid = 4702"),
            what="PostgreSQL to end the silent session",
        )
        with pytest.raises(psycopg2.Error):
            session.claim([PARTITION + 1])

    def test_also_in_the_middle_of_a_transaction(self, desk: Desk, session: ClaimSession) -> None:
        session.claim([PARTITION])
        session.cursor.execute("begin; select 1 from line_state for share")
        await_that(
            lambda: not desk.query("select 1 from pg_locks where locktype = 'advisory' and classid = 4702"),
            what="PostgreSQL to end the silent session",
        )


def test_a_stopped_worker_is_replaced_and_wakes_up_harmless(desk: Desk, settings: Settings) -> None:
    events = desk.open_events(2, partition=PARTITION, capacity=50)
    with worker_process(settings) as stopped, Flow(desk, events) as flow:
        await_that(lambda: desk.count_decided() > 20, what="decisions")
        os.kill(stopped.pid, signal.SIGSTOP)
        with worker_process(settings) as other:
            before = desk.count_decided()
            await_that(lambda: desk.count_decided() > before + 50, what="another to take over")
            os.kill(stopped.pid, signal.SIGCONT)
            flow.await_more(100)
            assert (stopped.poll(), other.poll()) == (None, None)
            # Both are alive and well: each gets its share again.
            await_that(lambda: len(holders(desk)) == 2, what="both to hold partitions")
    with worker_process(settings):
        desk.await_empty()
    flow.assert_kept()


def holders(desk: Desk) -> dict[int, int]:
    """Backend → partitions that it holds."""
    return {
        row.pid: row.count
        for row in desk.query(
            "select pid, count(*) from pg_locks where locktype = 'advisory' and classid = 4702 and granted "
            "and database = (select oid from pg_database where datname = current_database()) group by pid"
        )
    }
