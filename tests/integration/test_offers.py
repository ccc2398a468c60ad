"""Offers by the clock: they end on time though nobody calls, and whoever fits is served though nobody asks."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from shared.db import transaction
from shared.domain.permissions import Actor
from shared.line.accept import Accepted, NewRequest
from shared.services import control_requests, events, offers
from shared.settings import Settings
from tests.crash.flows import Desk, opened_desk
from tests.lines import LineDriver, await_that

# Until then a test has asked for what comes before it, on a slow machine too.
SOON = timedelta(seconds=5)


@pytest.fixture
def desk(settings: Settings, engine: Engine) -> Iterator[Desk]:
    with opened_desk(settings, engine) as desk:
        yield desk


@pytest.fixture
def driver(driver: LineDriver) -> LineDriver:
    """A worker whose offers are over as soon as they are made."""
    return with_offers_of(driver, timedelta(microseconds=1))


def with_offers_of(driver: LineDriver, lifetime: timedelta) -> LineDriver:
    driver.batches._terms = replace(driver.batches._terms, offer_lifetime=lifetime)
    return driver


@pytest.fixture
def sold_out(desk: Desk, driver: LineDriver) -> int:
    """An event of two tickets, both booked by user 0; users 1, 2 and 3 wait for one each."""
    event = desk.open_events(1, capacity=2)[0]
    desk.book(event, desk.users[0], tickets=2)
    for user in desk.users[1:4]:
        join(desk, event, user)
    driver.decide_all()
    return event


def join(desk: Desk, event: int, user: int, tickets: int = 1) -> None:
    assert isinstance(desk.send(event, "join_waitlist", user, tickets=tickets), Accepted)


def cancel(desk: Desk, event: int, user: int) -> None:
    (booking,) = desk.query(
        "select id from bookings where event_id = :event and user_id = :user", event=event, user=user
    )
    desk.send(event, "cancel", user, booking_id=booking.id)


def statuses(desk: Desk, event: int) -> list[str]:
    rows = desk.query(
        "select status from waitlist_entries where event_id = :event order by number", event=event
    )
    return [row.status for row in rows]


def open_offers(desk: Desk) -> list[Any]:
    return desk.query("select id, event_id, user_id from offers where status = 'open' order by id")


def expire(desk: Desk, engine: Engine, driver: LineDriver, count: int) -> None:
    """The schedule's turn, as soon as `count` offers are over; then the worker's."""
    await_that(lambda: offers.expire_offers(engine, desk.line) == count, what="offers to end")
    driver.decide_all()


def change(engine: Engine, desk: Desk, event: int, **values: Any) -> None:
    """Its host changes the event; what follows from it is put into the line."""
    (row,) = desk.query("select host_id from events where id = :id", id=event)
    with transaction(engine) as session:
        jobs = events.change_event(
            session,
            actor=Actor(row.host_id, "host"),
            event_id=event,
            values=values,
            whole=False,
            versions=None,
            request_id=None,
        )
    control_requests.put_into_line(engine, desk.line, jobs)


class TestTheEndOfAnOffer:
    def test_comes_by_itself_and_the_tickets_go_to_the_next(self, desk, engine, driver, sold_out):
        cancel(desk, sold_out, desk.users[0])
        driver.decide_all()
        assert statuses(desk, sold_out) == ["offered", "offered", "waiting"]
        expire(desk, engine, driver, 2)
        assert statuses(desk, sold_out) == ["expired", "expired", "offered"]
        expire(desk, engine, driver, 1)
        assert statuses(desk, sold_out) == ["expired"] * 3
        assert desk.query("select booked, offered from events where id = :id", id=sold_out) == [(0, 0)]
        desk.assert_audit_clean()

    def test_is_asked_for_once_however_many_schedules_run(self, desk, engine, driver, sold_out):
        cancel(desk, sold_out, desk.users[0])
        driver.decide_all()
        await_that(lambda: offers.expire_offers(engine, desk.line) == 2, what="offers to end")
        assert offers.expire_offers(engine, desk.line) == 0
        driver.decide_all()
        assert desk.query("select count(*) from decisions where kind = 'expire_offer'") == [(2,)]

    def test_comes_too_late_for_an_offer_that_was_accepted_in_time(self, desk, engine, driver, sold_out):
        with_offers_of(driver, SOON)
        cancel(desk, sold_out, desk.users[0])
        driver.decide_all()
        first, _ = open_offers(desk)
        desk.send(sold_out, "accept_offer", first.user_id, offer_id=first.id)  # not decided yet
        await_that(lambda: offers.expire_offers(engine, desk.line) == 2, what="offers to end")
        driver.decide_all()
        assert sorted(statuses(desk, sold_out)) == ["accepted", "expired", "offered"]
        assert desk.query(
            "select reason from decisions where kind = 'expire_offer' and outcome = 'rejected'"
        ) == [("offer_ended",)]
        desk.assert_audit_clean()

    def test_before_its_time_leaves_the_offer_open(self, desk, engine, driver, sold_out):
        """Redis' clock was set back between the schedule's look and the request."""
        with_offers_of(driver, SOON)
        cancel(desk, sold_out, desk.users[0])
        driver.decide_all()
        offer = open_offers(desk)[0]
        desk.line.accept(
            NewRequest(
                job_id=uuid.uuid4(),
                kind="expire_offer",
                event_id=sold_out,
                user_id=offer.user_id,
                offer_id=offer.id,
                is_control=True,
            )
        )
        driver.decide_all()
        assert desk.query("select outcome, reason from decisions where kind = 'expire_offer'") == [
            ("rejected", "offer_not_due")
        ]
        assert offer.id in {found.id for found in open_offers(desk)}
        expire(desk, engine, driver, 2)
        assert offer.id not in {found.id for found in open_offers(desk)}
        desk.assert_audit_clean()


class TestTimeAlone:
    def test_that_opens_a_sale_serves_who_waits(self, desk, engine, driver, sold_out):
        """More tickets while the sale is closed for a moment: nobody may have them before it opens again."""
        (now,) = desk.query("select now()")[0]
        change(engine, desk, sold_out, capacity=4, sales_open_at=now + SOON)
        driver.decide_all()
        assert statuses(desk, sold_out) == ["waiting"] * 3
        assert offers.serve_waitlists(engine, desk.line) == 0
        await_that(lambda: offers.serve_waitlists(engine, desk.line) == 1, what="the sale")
        assert offers.serve_waitlists(engine, desk.line) == 0
        driver.decide_all()
        assert statuses(desk, sold_out) == ["offered", "offered", "waiting"]
        assert offers.serve_waitlists(engine, desk.line) == 0
        desk.assert_audit_clean()


class TestMoreTickets:
    def test_go_to_who_waits_before_anybody_who_asks_later(self, desk, engine, driver, sold_out):
        change(engine, desk, sold_out, capacity=3)
        late = desk.book(sold_out, desk.users[5])
        driver.decide_all()
        assert statuses(desk, sold_out) == ["offered", "waiting", "waiting"]
        assert desk.query("select outcome, reason from decisions where job_id = :id", id=late.job_id) == [
            ("rejected", "sold_out")
        ]
        desk.assert_audit_clean()

    def test_are_offered_before_a_request_that_stands_in_the_line_already(
        self, desk, engine, driver, sold_out
    ):
        """The change is made while somebody waits in the line: its request to serve comes behind theirs."""
        early = desk.book(sold_out, desk.users[5])
        change(engine, desk, sold_out, capacity=3)
        driver.decide_all()
        assert statuses(desk, sold_out) == ["offered", "waiting", "waiting"]
        assert desk.query("select reason from decisions where job_id = :id", id=early.job_id) == [
            ("sold_out",)
        ]
        desk.assert_audit_clean()


class TestTheStart:
    def test_ends_who_still_waits(self, desk, engine, driver, sold_out, monkeypatch):
        """Worked off in slices, each with its row; a list of those who wait in vain does not grow for ever."""
        monkeypatch.setattr("worker.batch.SLICE_SIZE", 2)
        (now,) = desk.query("select now()")[0]
        assert offers.end_waitlists(engine, desk.line) == 0
        change(engine, desk, sold_out, starts_at=now + SOON)
        driver.decide_all()
        await_that(lambda: offers.end_waitlists(engine, desk.line) == 1, what="the start")
        assert offers.end_waitlists(engine, desk.line) == 0
        driver.decide_all()
        assert statuses(desk, sold_out) == ["expired"] * 3
        assert desk.query("select sum(w) from events, unnest(waiting) w where id = :id", id=sold_out) == [
            (0,)
        ]
        kinds = desk.query(
            "select kind from decisions where event_id = :id and kind like 'end%' order by number",
            id=sold_out,
        )
        assert [row.kind for row in kinds] == ["end_waitlist_slice", "end_waitlist_slice", "end_waitlist"]
        assert offers.end_waitlists(engine, desk.line) == 0
        desk.assert_audit_clean()

    def test_that_was_put_off_ends_nobody(self, desk, engine, driver, sold_out):
        """Asked for at the start, and decided after the host has moved it."""
        with transaction(engine) as session:
            job_id = control_requests.add(session, kind="end_waitlist", event_id=sold_out)
        assert control_requests.put_into_line(engine, desk.line, [job_id]) == 1
        driver.decide_all()
        assert statuses(desk, sold_out) == ["waiting"] * 3
        assert desk.query("select outcome from decisions where job_id = :id", id=job_id) == [("done",)]
        desk.assert_audit_clean()
