"""What an event's ledger and its attendees see over HTTP."""

import uuid
from collections.abc import Callable
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine

from shared.clock import parse_rfc3339
from shared.domain.ledger import GENESIS, LedgerRow, chain_hash
from shared.models import User
from tests.event_calls import EVENT_FIELDS, add_booking, problem_of
from tests.factories import auth_header, make_event, make_user


class TestRegistrations:
    def test_say_whether_the_caller_comes(self, app: Flask, client: FlaskClient, engine: Engine) -> None:
        event, user = make_event(engine), make_user(engine)
        url, headers = f"/api/events/{event.id}/check-registration", auth_header(app, user)
        assert problem_of(client.get(url)) == (401, "unauthenticated")
        answer = client.get(url, headers=headers)
        assert answer.json == {"is_registered": False, "booking_id": None, "status": None}
        assert answer.headers["Cache-Control"] == "no-store"
        add_booking(engine, event.id, user, status="cancelled")
        assert client.get(url, headers=headers).json["is_registered"] is False
        booking = add_booking(engine, event.id, user)
        assert client.get(url, headers=headers).json == {
            "is_registered": True,
            "booking_id": str(booking.id),
            "status": "confirmed",
        }

    def test_list_the_events_of_the_callers_live_bookings(
        self, app: Flask, client: FlaskClient, engine: Engine
    ) -> None:
        user, events = make_user(engine), [make_event(engine) for _ in range(4)]
        for event in events[:3]:
            add_booking(engine, event.id, user)
        add_booking(engine, events[3].id, user, status="cancelled")
        url, headers = "/api/events/user/registrations", auth_header(app, user)
        assert problem_of(client.get(url)) == (401, "unauthenticated")
        first = client.get(f"{url}?limit=2&with_total=true", headers=headers)
        rest = client.get(
            url, query_string={"limit": 2, "cursor": first.json["next_cursor"]}, headers=headers
        )
        shown = [item["id"] for item in first.json["items"] + rest.json["items"]]
        assert shown == [event.id for event in reversed(events[:3])]
        assert first.json["total"] == 3
        assert set(first.json["items"][0]) == {*EVENT_FIELDS, "registration_date"}
        assert first.headers["Cache-Control"] == "no-store"

    def test_of_an_event_are_for_its_host_and_admins(
        self,
        client: FlaskClient,
        engine: Engine,
        host: User,
        as_host: dict[str, str],
        as_admin: dict[str, str],
        as_attendee: dict[str, str],
    ) -> None:
        event = make_event(engine, host=host)
        guests = [make_user(engine, name=f"Guest {number}") for number in range(3)]
        for guest, status in zip(guests, ("confirmed", "cancelled", "confirmed"), strict=True):
            add_booking(engine, event.id, guest, status=status)
        url = f"/api/events/{event.id}/bookings"
        assert problem_of(client.get(url)) == (401, "unauthenticated")
        assert problem_of(client.get(url, headers=as_attendee)) == (403, "forbidden")
        answer = client.get(f"{url}?status=confirmed&with_total=true", headers=as_host)
        assert [item["attendee"]["name"] for item in answer.json["items"]] == ["Guest 0", "Guest 2"]
        assert (answer.json["total"], answer.headers["Cache-Control"]) == (2, "no-store")
        assert answer.json["items"][0]["event"]["title"] == event.title
        assert len(client.get(url, headers=as_admin).json["items"]) == 3


class TestLedger:
    def test_is_public_and_enough_to_recompute_every_hash(
        self, client: FlaskClient, create: Callable[..., dict[str, Any]], as_host: dict[str, str]
    ) -> None:
        event_id = create(status="scheduled")["id"]
        for capacity in (60, 70):
            client.patch(f"/api/events/{event_id}", json={"capacity": capacity}, headers=as_host)
        url: str | None = f"/api/events/{event_id}/decisions?limit=2"
        rows: list[dict[str, Any]] = []
        while url:
            page = client.get(url)
            rows += page.json["items"]
            url = page.headers["Link"].split(">")[0][1:] if "Link" in page.headers else None
        head = GENESIS
        for row in rows:
            assert "user_id" not in row
            head = chain_hash(head, ledger_row(event_id, row))
            assert row["hash"] == head.hex()
        assert [row["number"] for row in rows] == [1, 2, 3]
        assert client.get(f"/api/events/{event_id}/decisions/head").json == {"number": 3, "hash": head.hex()}

    def test_can_be_read_from_its_end(
        self, client: FlaskClient, create: Callable[..., dict[str, Any]], as_host: dict[str, str]
    ) -> None:
        event_id = create(status="scheduled")["id"]
        client.patch(f"/api/events/{event_id}", json={"capacity": 60}, headers=as_host)
        newest = client.get(f"/api/events/{event_id}/decisions?order=desc&limit=1").json["items"]
        assert [row["number"] for row in newest] == [2]


def ledger_row(event_id: int, row: dict[str, Any]) -> LedgerRow:
    """What a stranger can rebuild from the public ledger."""
    return LedgerRow(
        job_id=uuid.UUID(row["job_id"]),
        event_id=event_id,
        number=row["number"],
        arrival=row["arrival"],
        kind=row["kind"],
        user_id=None,
        tickets=row["tickets"],
        outcome=row["outcome"],
        reason=row["reason"],
        booking_id=row["booking_id"] and uuid.UUID(row["booking_id"]),
        available_after=row["available_after"],
        facts=row["facts"],
        accepted_at=parse_rfc3339(row["accepted_at"]),
        decided_at=parse_rfc3339(row["decided_at"]),
    )
