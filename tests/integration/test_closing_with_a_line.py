"""What a closed account gives back goes to whoever waits for it, through the line and in their order."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from shared.db import transaction
from shared.models import Event, Offer, User, WaitlistEntry
from tests.auditing import audit
from tests.factories import PASSWORD, auth_header, make_event, make_user


@pytest.fixture
def ask(app, client, driver) -> Callable[..., Any]:
    """A call by somebody, and everything that follows from it is decided."""

    def ask(user: User, method: str, path: str, body: Any = None) -> None:
        headers = {**auth_header(app, user), "Prefer": "wait=0"}
        answer = client.open(path, method=method, json=body, headers=headers)
        assert answer.status_code in (202, 204), answer.text
        driver.decide_all()

    return ask


def state(engine: Engine, event: Event) -> tuple[int, int, int, int]:
    """Tickets booked, offered and available, and how many wait."""
    with transaction(engine) as session:
        row = session.get_one(Event, event.id)
        return row.booked, row.offered, row.available, sum(row.waiting)


def entries(engine: Engine) -> dict[int, str]:
    with transaction(engine) as session:
        return {entry.user_id: entry.status for entry in session.query(WaitlistEntry)}


@pytest.fixture
def people(engine) -> list[User]:
    return [make_user(engine, password=PASSWORD) for _ in range(4)]


@pytest.fixture
def event(engine, ask, people) -> Event:
    """One ticket, which the first has; the others wait in their order."""
    event = make_event(engine, capacity=1)
    ask(people[0], "POST", f"/api/bookings/{event.id}/book", {})
    for user in people[1:]:
        ask(user, "POST", "/api/waitlist/join", {"event_id": event.id})
    assert state(engine, event) == (1, 0, 0, 3)
    return event


def close(ask: Callable[..., Any], user: User) -> None:
    ask(user, "DELETE", "/api/auth/account", {"password": PASSWORD})


class TestWhoeverWaits:
    def test_loses_the_place_and_the_next_are_served_in_order(self, engine, ask, people, event):
        close(ask, people[1])
        assert state(engine, event) == (1, 0, 0, 2)
        assert entries(engine)[people[1].id] == "left"
        ask(people[0], "POST", f"/api/events/{event.id}/cancel")
        assert state(engine, event) == (0, 1, 0, 1)
        assert entries(engine)[people[2].id] == "offered"
        assert audit(engine).findings == []

    def test_gives_back_an_open_offer(self, engine, ask, people, event):
        ask(people[0], "POST", f"/api/events/{event.id}/cancel")
        assert entries(engine)[people[1].id] == "offered"
        close(ask, people[1])
        assert entries(engine) == {people[1].id: "left", people[2].id: "offered", people[3].id: "waiting"}
        assert state(engine, event) == (0, 1, 0, 1)
        with transaction(engine) as session:
            assert {offer.user_id: offer.status for offer in session.query(Offer)}[people[2].id] == "open"
        assert audit(engine).findings == []


class TestWhoeverHasBooked:
    def test_makes_room_for_the_first_who_waits(self, engine, ask, people, event):
        close(ask, people[0])
        assert state(engine, event) == (0, 1, 0, 2)
        assert entries(engine)[people[1].id] == "offered"
        assert audit(engine).findings == []


class TestTheLast:
    def test_leaves_the_tickets_to_everybody(self, engine, ask, people, event):
        for user in people:
            close(ask, user)
        assert state(engine, event) == (0, 0, 1, 0)
        assert audit(engine).findings == []
