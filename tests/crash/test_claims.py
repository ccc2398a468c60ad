"""Who holds which partition: stand-bys, shares, tokens, clean stops, the pause."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from shared.clock import utc_now
from shared.db import transaction
from shared.line import keys
from shared.services import line_pause
from shared.settings import Settings
from shared.store import batches
from tests.crash.flows import Desk, Flow, recover
from tests.crash.test_silent_holders import holders
from tests.factories import make_user
from tests.lines import LineDriver, await_that, worker_process
from worker.booking_worker import BookingWorker
from worker.compose import make_booking_worker

PARTITIONS = 8


def shares(desk: Desk) -> list[int]:
    return sorted(holders(desk).values())


class TestProcesses:
    def test_sigterm_ends_cleanly_and_a_stand_by_takes_over(self, desk: Desk, settings: Settings) -> None:
        events = desk.open_events(2, capacity=50)
        with worker_process(settings) as first, Flow(desk, events) as flow:
            await_that(lambda: shares(desk) == [PARTITIONS], what="the first to hold everything")
            with worker_process(settings) as second:
                flow.await_more(30)
                first.send_signal(signal.SIGTERM)
                assert first.wait(timeout=30) == 0
                await_that(lambda: shares(desk) == [PARTITIONS], what="the second to hold everything")
                flow.await_more(30)
                second.send_signal(signal.SIGTERM)
                assert second.wait(timeout=30) == 0
                assert shares(desk) == []
        recover(settings, desk.engine)
        flow.assert_kept()

    @pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
    def test_an_idle_worker_stops_too(
        self, desk: Desk, settings: Settings, stop_signal: signal.Signals
    ) -> None:
        with worker_process(settings) as worker:
            await_that(lambda: shares(desk) == [PARTITIONS], what="claims")
            worker.send_signal(stop_signal)
            assert worker.wait(timeout=30) == 0
        assert desk.redis.zcard(keys.LIVE_WORKERS) == 0

    def test_two_share_and_one_that_is_killed_is_replaced(self, desk: Desk, settings: Settings) -> None:
        everywhere = [desk.open_events(1, partition=p, capacity=50)[0] for p in range(PARTITIONS)]
        with worker_process(settings) as first, worker_process(settings) as second:
            with Flow(desk, everywhere) as flow:
                await_that(lambda: shares(desk) == [4, 4], what="equal shares")
                flow.await_more(50)
                first.kill()
                await_that(lambda: shares(desk) == [PARTITIONS], what="the other to take over")
                flow.await_more(50)
            desk.await_empty()
            assert second.poll() is None
        flow.assert_kept()


class TestTokens:
    def test_a_sequence_that_was_set_back_is_lifted(
        self, desk: Desk, driver: LineDriver, settings: Settings, engine: Engine
    ) -> None:
        """A PostgreSQL restored from a backup draws tokens that Redis has seen long ago."""
        event = desk.open_events(1)[0]
        desk.execute("select setval('claim_token_seq', 1000000000)")
        driver.claim()
        token = int(desk.redis.get(keys.claim_token(3)) or 0)
        assert token > 10**9
        driver.close()
        desk.execute("select setval('claim_token_seq', 1)")
        desk.book_each(event)
        assert recover(settings, engine) == len(desk.users)
        assert int(desk.redis.get(keys.claim_token(3)) or 0) > token
        desk.assert_kept()

    def test_a_token_written_behind_the_holders_back_is_written_again(
        self, desk: Desk, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("worker.booking_worker.BACK_OFF_SECONDS", (0.0,))
        event = desk.open_events(1)[0]
        with running(settings) as worker:
            worker.run_once()
            desk.redis.set(keys.claim_token(3), 10**6)
            desk.book_each(event)
            await_that(lambda: (worker.run_once(), desk.count_undecided() == 0)[1], what="an empty line")
        desk.assert_kept()

    def test_a_lock_lost_behind_its_back_is_claimed_again(
        self, desk: Desk, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("worker.booking_worker.BACK_OFF_SECONDS", (0.0,))
        event = desk.open_events(1)[0]
        with running(settings) as worker:
            worker.run_once()
            assert worker._session is not None
            worker._session.cursor.execute("select pg_advisory_unlock_all()")
            desk.book_each(event)
            worker.run_once()
            assert desk.count_decided() == 0
            await_that(lambda: (worker.run_once(), desk.count_undecided() == 0)[1], what="an empty line")
        desk.assert_kept()


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[BookingWorker]:
    """The real worker, in this process."""
    worker = make_booking_worker(settings, "crash", os.getpid())
    try:
        yield worker
    finally:
        worker._let_go()


class TestPause:
    def test_once_committed_nothing_more_is_decided(self, desk: Desk, settings: Settings) -> None:
        """With workers busy on every partition: readers must not starve whoever pauses."""
        everywhere = [desk.open_events(1, partition=p, capacity=500)[0] for p in range(PARTITIONS)]
        admin = make_user(desk.engine, role="admin")
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(worker_process(settings))
            with Flow(desk, everywhere, threads=4, pause_seconds=0) as flow:
                await_that(lambda: len(holders(desk)) == 3, what="all to hold partitions")
                for _ in range(3):
                    desk.await_decisions(100)
                    with transaction(desk.engine) as session:
                        line_pause.pause(session, actor_id=admin.id, reason="fire drill")
                    decided = desk.count_decided()
                    flow.await_more(300)
                    assert desk.count_decided() == decided
                    with transaction(desk.engine) as session:
                        assert line_pause.resume(session, actor_id=admin.id)
            desk.await_empty()
        flow.assert_kept()

    def test_is_obeyed_by_whoever_recovers(self, desk: Desk, settings: Settings, engine: Engine) -> None:
        event = desk.open_events(1)[0]
        desk.book_each(event)
        with worker_process(settings) as worker, desk.engine.connect() as connection, connection.begin():
            # keeps the batch in flight until the worker is killed
            connection.exec_driver_sql(f"select 1 from events where id = {event} for update")
            await_that(lambda: desk.redis.llen(keys.in_flight(3)) > 0, what="a batch in flight")
            worker.kill()
            worker.wait()
        with transaction(engine) as session:
            line_pause.pause(session, actor_id=None)
        assert recover(settings, engine) == 0
        assert desk.count_decided() == 0
        with transaction(engine) as session:
            line_pause.resume(session, actor_id=None)
        recover(settings, engine)
        desk.assert_kept()

    def test_ends_by_itself(self, desk: Desk, settings: Settings, engine: Engine) -> None:
        event = desk.open_events(1)[0]
        with worker_process(settings):
            await_that(lambda: shares(desk) == [PARTITIONS], what="claims")
            with transaction(engine) as session:
                line_pause.pause(session, actor_id=None, resume_at=utc_now() + timedelta(seconds=2))
            desk.book_each(event)
            desk.await_empty()
        (row,) = desk.query(
            "select min(d.decided_at) >= min(l.resume_at) as after from decisions d, line_state l where arrival = 1"
        )
        assert row.after
        desk.assert_kept()

    def test_survives_a_restart_of_everything(self, desk: Desk, settings: Settings, engine: Engine) -> None:
        event = desk.open_events(1)[0]
        with transaction(engine) as session:
            line_pause.pause(session, actor_id=None)
        desk.book_each(event)
        with worker_process(settings):
            await_that(lambda: shares(desk) == [PARTITIONS], what="claims")
        with worker_process(settings):
            await_that(lambda: shares(desk) == [PARTITIONS], what="claims")
            assert desk.count_decided() == 0
            with transaction(engine) as session:
                line_pause.resume(session, actor_id=None)
            desk.await_empty()
        desk.assert_kept()


def test_rq_suspend_is_obeyed(desk: Desk, settings: Settings, engine: Engine) -> None:
    event = desk.open_events(1)[0]
    desk.redis.set(keys.RQ_SUSPENDED, 1)
    desk.book_each(event)
    assert recover(settings, engine) == 0
    desk.redis.delete(keys.RQ_SUSPENDED)
    recover(settings, engine)
    desk.assert_kept()


def test_batches_that_overlap_without_end_do_not_keep_a_pause_away(desk: Desk, engine: Engine) -> None:
    """Readers of the pause row come and go, and there is always one: whoever pauses must get its turn."""
    readers = [engine.raw_connection() for _ in range(2)]
    paused = threading.Event()

    def pause() -> None:
        with transaction(engine) as session:
            line_pause.pause(session, actor_id=None)
        paused.set()

    thread = threading.Thread(target=pause)
    try:
        batches.begin(readers[0].cursor(), 0)
        thread.start()
        waits = (
            "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
        await_that(lambda: desk.query(waits), what="the pause to wait for the batch")
        for turn in range(1, 20):
            newer, older = readers[turn % 2], readers[(turn + 1) % 2]
            reader = threading.Thread(target=batches.begin, args=(newer.cursor(), 0))
            reader.start()
            reader.join(0.05)  # either it is let in, or it stands behind whoever pauses
            older.rollback()
            reader.join()
            if paused.wait(0.05):
                break
        assert paused.is_set()
    finally:
        for connection in readers:
            connection.rollback()
            connection.close()
        thread.join()
