"""Requests of the control plane: written with their cause, in the line once, whatever was away meanwhile."""


import pytest
from sqlalchemy import Engine

from shared.line import keys
from shared.services import control_requests
from shared.settings import Settings
from tests.crash.flows import Desk, recover
from worker.schedule import Schedule


@pytest.fixture
def schedule(desk: Desk, engine: Engine) -> Schedule:
    return Schedule(engine, desk.line, desk.redis)


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
