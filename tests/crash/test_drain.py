"""A drain and what Redis loses, or a worker that dies: nobody who came after the mark is ever taken out by it."""

import pytest
from sqlalchemy import Engine

from shared.db import transaction
from shared.ids import uuid7
from shared.line import keys
from shared.line.accept import Accepted, NewRequest
from shared.line.client import LineUnavailableError
from shared.line.doors import Door
from shared.line.drain import read_line_end
from shared.services.line_drain import Drained, drain
from shared.settings import Settings
from tests.crash.flows import Desk, recover
from tests.lines import LineDriver

PARTITION = 3
WITHDRAWN, CONFIRMED = "withdrawn", "confirmed"


def set_mark(desk: Desk, driver: LineDriver, event: int, reason: str = "Rain") -> Drained:
    end = read_line_end(desk.line.runner, driver.installation, event)
    with transaction(desk.engine) as session:
        return drain(session, end, event_id=event, reason=reason, actor_id=None)


def outcomes(desk: Desk, event: int) -> list[str]:
    return [outcome for _, outcome, _ in desk.outcomes(event)]


def book_anew(desk: Desk, event: int, user: int, *, last_arrival: int) -> Accepted:
    """A booking at a door that knows how far the ledger is: a missing counter starts from there."""
    request = NewRequest(
        job_id=uuid7(), kind="book", event_id=event, user_id=user, tickets=1, subjects=("f", "u")
    )
    answer = desk.line.accept(request, Door(last_arrival=last_arrival))
    assert isinstance(answer, Accepted)
    return answer


class TestNumbersGivenOutAgain:
    def test_after_redis_forgot_everything(self, desk: Desk, driver: LineDriver) -> None:
        """The mark covers numbers up to 8; who gets 3, 4 and 5 came after it."""
        event = desk.open_events(1, capacity=9)[0]
        desk.book_each(event, desk.users[:2])
        driver.decide_all()
        desk.book_each(event, desk.users[2:])
        assert set_mark(desk, driver, event).up_to_arrival == 8
        desk.redis.flushall()
        told = [book_anew(desk, event, user, last_arrival=2).arrival for user in desk.users[2:5]]
        assert told == [3, 4, 5]
        driver.decide_all()
        assert outcomes(desk, event) == [CONFIRMED] * 5
        desk.assert_audit_clean()

    def test_because_a_request_before_them_was_lost(self, desk: Desk, driver: LineDriver) -> None:
        """Everybody behind the lost ones moves up, below the mark's number."""
        event = desk.open_events(1, capacity=9)[0]
        waiting = desk.book_each(event, desk.users[:5])
        set_mark(desk, driver, event)
        late = desk.book_each(event, desk.users[5:8])
        desk.redis.delete(*(keys.job(str(answer.job_id)) for answer in waiting[:3]))
        driver.decide_all()
        assert [answer.arrival for answer in late] == [6, 7, 8]
        assert desk.outcomes(event) == [
            (1, WITHDRAWN, "withdrawn_by_admin"),
            (2, WITHDRAWN, "withdrawn_by_admin"),
            (3, CONFIRMED, None),
            (4, CONFIRMED, None),
            (5, CONFIRMED, None),
        ]

    def test_a_second_mark_covers_them(self, desk: Desk, driver: LineDriver) -> None:
        event = desk.open_events(1, capacity=9)[0]
        desk.book_each(event)
        set_mark(desk, driver, event)
        desk.redis.flushall()
        book_anew(desk, event, desk.users[0], last_arrival=0)
        second = set_mark(desk, driver, event, "Snow")
        assert (second.up_to_arrival, second.undecided) == (1, 1)
        book_anew(desk, event, desk.users[1], last_arrival=0)
        driver.decide_all()
        assert outcomes(desk, event) == [WITHDRAWN, CONFIRMED]
        desk.assert_audit_clean()

    def test_an_empty_redis_does_not_know_whom_to_take_out(self, desk: Desk, driver: LineDriver) -> None:
        event = desk.open_events(1, capacity=9)[0]
        desk.book_each(event)
        desk.redis.flushall()
        with pytest.raises(LineUnavailableError):
            set_mark(desk, driver, event)
        assert desk.query("select drained_up_to from events where id = :id", id=event) == [(0,)]


class TestAWorkerThatDies:
    @pytest.mark.parametrize("where", ["worker.batch.BatchRunner._decide", "worker.batch.reply"])
    def test_with_drained_requests_in_flight(
        self, desk: Desk, driver: LineDriver, settings: Settings, engine: Engine, where: str
    ) -> None:
        """Before the commit the next worker decides, after it the next one only replies."""
        event = desk.open_events(1, capacity=9)[0]
        desk.book_each(event)
        if where.endswith("reply"):
            set_mark(desk, driver, event)
        take_and_die(driver, where)
        assert desk.redis.llen(keys.in_flight(PARTITION)) == 8
        driver.close()
        if not where.endswith("reply"):
            set_mark(desk, driver, event)  # taken is not decided
        recover(settings, engine)
        assert outcomes(desk, event) == [WITHDRAWN] * 8
        desk.assert_kept()


def die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def take_and_die(driver: LineDriver, where: str) -> None:
    driver.claim()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(where, die)
        with pytest.raises(KeyboardInterrupt):
            driver.decide(PARTITION)
