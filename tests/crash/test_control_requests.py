"""Requests of the control plane: written with their cause, in the line once, whatever was away meanwhile."""

import uuid

import pytest
from sqlalchemy import Engine

from shared.line import keys
from shared.line.accept import Accepted
from shared.services import control_requests
from shared.settings import Settings
from tests.crash.flows import Desk, recover
from worker.schedule import Schedule

PARTITION = 3


@pytest.fixture
def schedule(desk: Desk, engine: Engine) -> Schedule:
    return Schedule(desk.settings, engine, desk.line, desk.redis, handlers=())


def owed(desk: Desk) -> int:
    """Requests that have to be put into the line, or into it again."""
    query = "select count(*) from control_requests where queued_at is null and decided_at is null"
    return int(desk.query(query)[0][0])


def call_off_rows(desk: Desk) -> int:
    return int(desk.query("select count(*) from decisions where kind = 'call_off'")[0][0])


def run(schedule: Schedule, desk: Desk) -> None:
    """The schedule's turn, whenever the last one was."""
    for entry in schedule.entries:
        desk.redis.delete(keys.schedule_turn(entry.name))
    schedule.run_once()


@pytest.fixture
def booked(desk: Desk, settings: Settings, engine: Engine) -> int:
    event = desk.open_events(1, capacity=20)[0]
    desk.book_each(event)
    recover(settings, engine)
    return event


class TestRedisAway:
    def test_the_schedule_puts_them_in(
        self, desk: Desk, booked: int, schedule: Schedule, settings: Settings, engine: Engine
    ) -> None:
        used = desk.redis.info("memory")["used_memory"]
        desk.call_off(booked, put=False)
        desk.redis.config_set("maxmemory", used // 2)
        try:
            assert control_requests.put_into_line(engine, desk.line) == 0
            assert owed(desk) == 1
        finally:
            desk.redis.config_set("maxmemory", 512 * 2**20)
        run(schedule, desk)
        run(schedule, desk)
        assert owed(desk) == 0
        assert desk.redis.llen(keys.queue(3)) == 1
        recover(settings, engine)
        assert call_off_rows(desk) == 1
        desk.assert_kept()

    def test_a_process_that_dies_before_it_marks_them(
        self, desk: Desk, booked: int, schedule: Schedule, settings: Settings, engine: Engine
    ) -> None:
        desk.call_off(booked, put=False)
        control_requests.put_into_line(engine, desk.line)
        desk.execute("update control_requests set queued_at = null")
        run(schedule, desk)  # it is in the line: nothing is put in twice
        assert desk.redis.llen(keys.queue(3)) == 1
        desk.execute("update control_requests set queued_at = null")
        recover(settings, engine)
        desk.redis.flushall()
        run(schedule, desk)  # it is in the ledger, and Redis knows nothing
        assert desk.redis.llen(keys.queue(3)) == 0
        assert owed(desk) == 0
        recover(settings, engine)
        assert call_off_rows(desk) == 1
        desk.assert_kept()

    def test_a_redis_that_forgot_them(
        self, desk: Desk, booked: int, schedule: Schedule, settings: Settings, engine: Engine
    ) -> None:
        """Acknowledged, marked as put in, then lost: the cause is in PostgreSQL, and so is what is owed."""
        desk.call_off(booked, put=False)
        control_requests.put_into_line(engine, desk.line)
        desk.redis.flushall()
        recover(settings, engine)  # whoever finds it empty makes it ours again, and notes what is owed
        assert owed(desk) == 1
        run(schedule, desk)
        recover(settings, engine)
        assert call_off_rows(desk) == 1
        assert desk.query("select booked from events where id = :id", id=booked) == [(0,)]


def in_line(desk: Desk) -> list[str]:
    """Ids that wait in the event's line."""
    return [raw.decode() for raw in desk.redis.lrange(keys.queue(PARTITION), 0, -1)]


def lose(desk: Desk, job_id: uuid.UUID) -> None:
    """Redis forgets this request and nothing else: its mark that it is ours stays."""
    desk.redis.delete(keys.job(str(job_id)))
    desk.redis.lrem(keys.queue(PARTITION), 0, str(job_id))


def let_a_minute_pass(desk: Desk) -> None:
    desk.execute("update control_requests set queued_at = queued_at - interval '61 seconds'")


def is_marked_decided(desk: Desk) -> bool:
    return bool(desk.query("select decided_at is not null from control_requests")[0][0])


class TestUntilTheLedgerKnowsIt:
    """`queued_at` says that Redis had it once; only `decided_at` says that nothing is owed any more."""

    def test_one_that_stands_in_the_line_is_left_alone(
        self, desk: Desk, booked: int, schedule: Schedule
    ) -> None:
        job_id = desk.call_off(booked)
        run(schedule, desk)
        let_a_minute_pass(desk)
        run(schedule, desk)
        assert in_line(desk) == [str(job_id)]

    def test_one_that_redis_lost_alone_is_put_again_after_a_minute(
        self, desk: Desk, booked: int, schedule: Schedule, settings: Settings, engine: Engine
    ) -> None:
        job_id = desk.call_off(booked)
        lose(desk, job_id)
        run(schedule, desk)
        assert in_line(desk) == []  # put a moment ago: it may be in a worker's hands
        for _ in range(2):  # lost again: put again
            lose(desk, job_id)
            let_a_minute_pass(desk)
            run(schedule, desk)
            assert in_line(desk) == [str(job_id)]
        recover(settings, engine)
        assert call_off_rows(desk) == 1
        assert desk.query("select booked from events where id = :id", id=booked) == [(0,)]

    def test_then_it_is_marked_and_never_put_again(
        self, desk: Desk, booked: int, schedule: Schedule, settings: Settings, engine: Engine
    ) -> None:
        desk.call_off(booked)
        recover(settings, engine)
        assert not is_marked_decided(desk)
        let_a_minute_pass(desk)
        run(schedule, desk)
        assert is_marked_decided(desk)
        desk.redis.flushall()
        recover(settings, engine)
        let_a_minute_pass(desk)
        run(schedule, desk)
        assert (owed(desk), in_line(desk)) == (0, [])
        desk.assert_audit_clean()

    def test_an_emptied_redis_needs_no_minute(
        self, desk: Desk, booked: int, schedule: Schedule, settings: Settings, engine: Engine
    ) -> None:
        """Any process that uses the line heals it, and the next turn of the schedule puts everything back."""
        job_id = desk.call_off(booked)
        other = desk.open_events(1)[0]
        desk.redis.flushall()
        desk.book(other)  # accepted: the line is this installation's again
        assert owed(desk) == 1
        run(schedule, desk)
        assert str(job_id) in in_line(desk)
        recover(settings, engine)
        assert call_off_rows(desk) == 1

    def test_it_is_never_decided_twice(
        self, desk: Desk, booked: int, settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A turn of the schedule looks, sleeps while it is decided and lost from Redis, and puts it all the same."""
        job_id = desk.call_off(booked, put=False)
        send = control_requests._send

        def send_late(*arguments: object) -> bool:
            with monkeypatch.context() as patch:
                patch.setattr(control_requests, "_send", send)
                assert control_requests.put_into_line(engine, desk.line) == 1
            recover(settings, engine)
            assert call_off_rows(desk) == 1
            lose(desk, job_id)
            return send(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(control_requests, "_send", send_late)
        assert control_requests.put_into_line(engine, desk.line) == 1
        assert in_line(desk) == [str(job_id)]
        rows = desk.query("select count(*) from decisions")
        recover(settings, engine)
        assert desk.query("select count(*) from decisions") == rows
        assert (call_off_rows(desk), in_line(desk)) == (1, [])
        desk.assert_audit_clean()

    def test_it_counts_against_nobody(self, desk: Desk, booked: int) -> None:
        """Whoever calls many events off may still book."""
        desk.call_off(booked)
        assert desk.redis.keys("guichet:undecided:*") == []
        assert isinstance(desk.send(desk.open_events(1)[0]), Accepted)
