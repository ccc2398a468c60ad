"""Events over HTTP in tests: bodies that are accepted, and looks at what was written down."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask
from sqlalchemy import Engine, select, update
from werkzeug.test import TestResponse

from shared.clock import rfc3339
from shared.db import transaction
from shared.ids import uuid7
from shared.models import AuditLogEntry, Booking, Decision, Event, User
from shared.store.clock import read_clock
from tests.factories import auth_header, make_user

START = datetime(2040, 6, 1, 18, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
EVENT_FIELDS = {
    *("id", "title", "description", "venue", "category", "code", "time_zone", "starts_at", "ends_at"),
    *(
        "sales_open_at",
        "sales_close_at",
        "sales_paused",
        "price_minor",
        "currency",
        "is_free",
        "capacity",
        "booked",
        "available",
    ),
    *(
        "max_per_booking",
        "waitlist_enabled",
        "status",
        "sales",
        "organization",
        "host",
        "impressions",
        "created_at",
        "updated_at",
    ),
}


def event_body(**fields: Any) -> dict[str, Any]:
    return {"title": "Concert", "starts_at": rfc3339(START), "capacity": 50, **fields}


def book(app: Flask, event: Event, user: User | None = None, **headers: str) -> TestResponse:
    """What `user`, or somebody, is answered who asks for a ticket."""
    user = user or make_user(app.extensions["guichet"].engine)
    return app.test_client().post(
        f"/api/bookings/{event.id}/book", headers={**auth_header(app, user), **headers}
    )


def add_booking(
    engine: Engine, event_id: int, user: User, *, tickets: int = 2, status: str = "confirmed"
) -> Booking:
    """A booking as a worker leaves it, for reads that do not care how it came about."""
    with transaction(engine) as session:
        now = read_clock(session)
        booking = Booking(
            id=uuid7(),
            reference="-".join(re.findall(".{4}", uuid.uuid4().hex.upper())[:2]),
            event_id=event_id,
            user_id=user.id,
            job_id=uuid7(),
            tickets=tickets,
            status=status,
            price_minor=0,
            currency="EUR",
            arrival=1,
            created_at=now,
            cancelled_at=now if status == "cancelled" else None,
        )
        session.add(booking)
        if status == "confirmed":
            session.execute(update(Event).where(Event.id == event_id).values(booked=Event.booked + tickets))
    return booking


def ledger(engine: Engine, event_id: int) -> list[Decision]:
    with transaction(engine) as session:
        rows = select(Decision).where(Decision.event_id == event_id).order_by(Decision.number)
        return list(session.scalars(rows))


def audit_rows(engine: Engine, event_id: int) -> list[AuditLogEntry]:
    with transaction(engine) as session:
        query = select(AuditLogEntry).where(
            AuditLogEntry.target_type == "event", AuditLogEntry.target_id == str(event_id)
        )
        return list(session.scalars(query.order_by(AuditLogEntry.id)))


def problem_of(answer: TestResponse) -> tuple[int, str]:
    assert answer.content_type == "application/problem+json", answer.text
    return answer.status_code, answer.json["code"]


def pointers(answer: TestResponse) -> list[str]:
    assert problem_of(answer) == (422, "validation_failed")
    return [entry["pointer"] for entry in answer.json["errors"]]
