"""What is nobody's fault never makes a request `failed`: the line stands, then goes on, in order."""

from collections.abc import Callable, Iterator

import psycopg2
import pytest
from sqlalchemy import Engine

from shared.domain import allocation
from shared.domain.requests import Request
from shared.line import keys
from shared.settings import Settings
from tests.crash.flows import Desk
from tests.lines import LineDriver, await_that, worker_process
from worker import batch
from worker.booking_worker import BookingWorker
from worker.compose import make_booking_worker

PARTITION = 3
ERRORS = {
    "disk_full": "53100",
    "out_of_memory": "53200",
    "too_many_connections": "53300",
    "deadlock_detected": "40P01",
    "serialization_failure": "40001",
    "read_only_sql_transaction": "25006",
    "lock_not_available": "55P03",
    "query_canceled": "57014",
    "admin_shutdown": "57P01",
    "io_error": "58030",
    "data_corrupted": "XX001",
    "undefined_column": "42703",
    "insufficient_privilege": "42501",
    "raise_exception": "P0001",
}


@pytest.fixture
def worker(settings: Settings) -> Iterator[BookingWorker]:
    """The real worker, in this process, one turn at a time, without its pauses."""
    worker = make_booking_worker(settings, "crash", 1)
    yield worker
    worker._let_go()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.booking_worker.BACK_OFF_SECONDS", (0.0,))


@pytest.fixture
def break_writes(desk: Desk) -> Iterator[Callable[[str, str], None]]:
    """Makes inserts into a table raise an error of any SQLSTATE until the table `broken` is empty."""
    desk.execute("create table broken (sqlstate text)")

    def start(table: str, sqlstate: str) -> None:
        desk.execute(
            """create or replace function break_it() returns trigger language plpgsql as $$
            declare state text;
            begin
                select sqlstate into state from broken;
                if found then raise exception 'planted' using errcode = state; end if;
                return new;
            end $$"""
        )
        desk.execute(
            f"create or replace trigger break_it before insert on {table} execute function break_it()"
        )
        desk.execute("insert into broken values (:sqlstate)", sqlstate=sqlstate)

    yield start
    desk.execute("truncate broken")


def turn(worker: BookingWorker, times: int = 4) -> None:
    for _ in range(times):
        worker.run_once()


def assert_line_stands(desk: Desk, waiting: int) -> None:
    assert desk.count_decided() == 0
    assert desk.count_undecided() == waiting
    assert desk.redis.llen(keys.lost(PARTITION)) == 0


def finish(desk: Desk, worker: BookingWorker) -> None:
    def step() -> bool:
        worker.run_once()
        return desk.count_undecided() == 0

    await_that(step, what="an empty line")
    desk.assert_kept()


@pytest.mark.parametrize(
    ("table", "sqlstate"),
    [
        *(("decisions", sqlstate) for sqlstate in ERRORS.values()),
        ("bookings", "53100"),
        ("bookings", "42703"),
    ],
)
def test_any_error_of_the_server(
    desk: Desk, worker: BookingWorker, break_writes: Callable[[str, str], None], table: str, sqlstate: str
) -> None:
    events = desk.open_events(2, capacity=4)
    for event in events:
        desk.book_each(event)
    break_writes(table, sqlstate)
    turn(worker, 6)
    assert_line_stands(desk, 16)
    desk.execute("truncate broken")
    finish(desk, worker)
    assert [outcome for _, outcome, _ in desk.outcomes(events[0])] == ["confirmed"] * 4 + ["rejected"] * 4


class TestRealOnes:
    def test_a_missing_column(self, desk: Desk, worker: BookingWorker) -> None:
        event = desk.open_events(1)[0]
        desk.book_each(event)
        for table, column in (
            ("events", "max_per_booking"),
            ("bookings", "reference"),
            ("decisions", "facts"),
        ):
            desk.execute(f"alter table {table} rename column {column} to gone")
            turn(worker)
            assert_line_stands(desk, 8)
            desk.execute(f"alter table {table} rename column gone to {column}")
        finish(desk, worker)

    def test_a_missing_table(self, desk: Desk, worker: BookingWorker) -> None:
        event = desk.open_events(1)[0]
        desk.book_each(event)
        desk.execute("alter table bookings rename to gone")
        turn(worker)
        assert_line_stands(desk, 8)
        desk.execute("alter table gone rename to bookings")
        finish(desk, worker)

    def test_read_only(self, desk: Desk, worker: BookingWorker) -> None:
        event = desk.open_events(1)[0]
        desk.book_each(event)
        (name,) = desk.query("select current_database()")[0]
        desk.execute(f'alter database "{name}" set default_transaction_read_only = on')
        turn(worker)
        assert_line_stands(desk, 8)
        with desk.engine.connect() as connection:
            connection.exec_driver_sql("set session characteristics as transaction read write")
            connection.commit()
            connection.exec_driver_sql(f'alter database "{name}" reset default_transaction_read_only')
            connection.commit()
        desk.engine.dispose()
        worker._drop_session()  # the setting is read when a session begins
        finish(desk, worker)

    def test_a_locked_event_stops_its_partition_and_no_other(self, desk: Desk, settings: Settings) -> None:
        event, other = desk.open_events(1)[0], desk.open_events(1, partition=5)[0]
        with desk.engine.connect() as connection, worker_process(settings) as process:
            with connection.begin():
                connection.exec_driver_sql(f"select 1 from events where id = {event} for update")
                desk.book_each(event)
                desk.book_each(other)
                await_that(lambda: len(desk.outcomes(other)) == 8, what="the other partition")
                assert desk.outcomes(event) == []
            desk.await_empty()
            assert process.poll() is None
        desk.assert_kept()

    def test_a_locked_table(self, desk: Desk, settings: Settings) -> None:
        event = desk.open_events(1)[0]
        with desk.engine.connect() as connection, worker_process(settings) as process:
            with connection.begin():
                connection.exec_driver_sql("lock table bookings in access exclusive mode")
                desk.book_each(event)
                await_that(
                    lambda: desk.redis.llen(keys.in_flight(PARTITION)) == 8,
                    what="the worker to have taken the batch",
                )
                waits = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and state = 'active'"
                await_that(lambda: desk.query(waits), what="the worker to wait")
                await_that(lambda: not desk.query(waits), what="its lock time-out")
                assert_line_stands(desk, 8)
            desk.await_empty()
            assert process.poll() is None
        desk.assert_kept()

    def test_a_deadlock(self, desk: Desk, settings: Settings) -> None:
        """Somebody locks two events against the order, while a batch locks them in it."""
        first, second = desk.open_events(2)
        with desk.engine.connect() as connection, worker_process(settings) as process:
            with connection.begin():
                connection.exec_driver_sql(f"select 1 from events where id = {second} for update")
                desk.book_each(first)
                desk.book_each(second)
                waits = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and state = 'active'"
                await_that(lambda: desk.query(waits), what="the worker to wait")
                try:
                    connection.exec_driver_sql(f"select 1 from events where id = {first} for update")
                except Exception as error:
                    assert getattr(error.orig, "pgcode", None) == "40P01"  # noqa: PT017 - whoever is chosen
                    connection.rollback()
            desk.await_empty()
            assert process.poll() is None
        desk.assert_kept()


class TestOurOwnProcess:
    @pytest.mark.parametrize("times", [1, 5])
    def test_memory_error_while_deciding(
        self, desk: Desk, worker: BookingWorker, monkeypatch: pytest.MonkeyPatch, times: int
    ) -> None:
        event = desk.open_events(1)[0]
        desk.book_each(event)
        judge, left = allocation.judge_book, [times]

        def starve(*arguments: object) -> object:
            if left[0]:
                left[0] -= 1
                raise MemoryError
            return judge(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(allocation, "judge_book", starve)
        turn(worker, times)
        assert_line_stands(desk, 8)
        finish(desk, worker)

    @pytest.mark.parametrize("step", ["load", "write"])
    def test_a_bug_of_ours_that_is_no_requests_fault(
        self, desk: Desk, worker: BookingWorker, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        event = desk.open_events(1)[0]
        desk.book_each(event)
        with monkeypatch.context() as patch:
            patch.setattr(batch.batches, step, raise_key_error)
            turn(worker)
            assert_line_stands(desk, 8)
        finish(desk, worker)

    def test_a_bug_in_one_partitions_batch_stops_no_other(
        self, desk: Desk, worker: BookingWorker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second, third = (desk.open_events(1, partition=number)[0] for number in (2, PARTITION, 5))
        for event in (first, second, third):
            desk.book_each(event)
        load = batch.batches.load

        def fail_on_one(cursor: object, requests: list[Request], *rest: object) -> object:
            if requests[0].event_id == second:
                raise TypeError("planted")
            return load(cursor, requests, *rest)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(batch.batches, "load", fail_on_one)
            patch.setattr("worker.booking_worker.BACK_OFF_SECONDS", (3600.0,))
            patch.setattr("worker.booking_worker.time.sleep", lambda _seconds: None)
            worker.run_once()
            session = worker._session
            turn(worker, 1)
            assert [len(desk.outcomes(event)) for event in (first, second, third)] == [8, 0, 8]
            assert worker._session is session  # no claim was let go: nobody else has to recover anything
            assert session is not None
            assert sorted(session.held) == list(range(8))
            assert desk.redis.scard(keys.suspects(PARTITION)) == 0
        worker._aside.clear()
        finish(desk, worker)


def raise_key_error(*_: object, **__: object) -> None:
    raise KeyError("planted")


def test_errors_never_count_as_deaths(
    desk: Desk, settings: Settings, engine: Engine, break_writes: Callable[[str, str], None]
) -> None:
    """Two workers that live on, taking turns at the same batch for a long time."""
    event = desk.open_events(1, capacity=4)[0]
    desk.book_each(event)
    break_writes("decisions", "53100")
    workers = [make_booking_worker(settings, "crash", number) for number in (1, 2)]
    try:
        for worker in workers * 6:
            turn(worker, 3)
            worker._drop_session()
            worker._claim_timer._next = 0.0
            desk.redis.delete(keys.LIVE_WORKERS)
        assert_line_stands(desk, 8)
        assert desk.redis.scard(keys.suspects(PARTITION)) == 0
        assert not desk.redis.exists(keys.alone(PARTITION))
        desk.execute("truncate broken")
        finish(desk, workers[0])
    finally:
        for worker in workers:
            worker._let_go()


def test_a_commit_that_was_sent_is_unknown(
    desk: Desk, driver: LineDriver, settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer is lost; only the ledger can tell, and it does."""
    event = desk.open_events(1, capacity=4)[0]
    desk.book_each(event)
    driver.claim(PARTITION)
    commit = batch.BatchRunner._commit

    def lose_the_answer(self: batch.BatchRunner, session: object) -> None:
        commit(self, session)  # type: ignore[arg-type]
        raise batch.CommitUnknownError from psycopg2.OperationalError("planted")

    with monkeypatch.context() as patch:
        patch.setattr(batch.BatchRunner, "_commit", lose_the_answer)
        with pytest.raises(batch.CommitUnknownError):
            driver.decide(PARTITION)
    assert desk.count_decided() == 8
    assert desk.redis.llen(keys.in_flight(PARTITION)) == 8
    assert driver.decide(PARTITION) == 8
    desk.assert_kept()
