"""What people were told: drains the outbox with the real handlers, and makes ledger rows where a test needs one."""

import uuid
from datetime import timedelta
from typing import Any

import orjson
from sqlalchemy import Engine, text

from shared.clock import rfc3339, utc_now
from shared.db import transaction
from shared.ids import uuid7
from shared.services import outbox
from worker.compose import make_handlers


def tell(engine: Engine) -> None:
    """Everything that waits, however many turns it takes."""
    while outbox.drain_once(engine, make_handlers()):
        pass


def tell_ledger(engine: Engine, event_id: int, from_number: int = 1, to_number: int | None = None) -> None:
    """A message for these rows (all of them), and tells it: what may happen any number of times."""
    with transaction(engine) as session:
        last = session.scalar(text("select max(number) from decisions where event_id = :e"), {"e": event_id})
        outbox.add_ledger_range(session, event_id, from_number=from_number, to_number=to_number or last)
    tell(engine)


def told(engine: Engine, user_id: int, kind: str | None = None) -> list[dict[str, Any]]:
    """The person's notifications, oldest first."""
    with transaction(engine) as session:
        rows = session.execute(
            text(
                "select kind, cause, event_id, payload from notifications"
                " where user_id = :user and (kind = :kind or cast(:kind as text) is null) order by id"
            ),
            {"user": user_id, "kind": kind},
        )
        return [dict(row) for row in rows.mappings()]


def kinds_told(engine: Engine, user_id: int) -> list[str]:
    """The kinds of the person's notifications, oldest first."""
    return [row["kind"] for row in told(engine, user_id)]


def add_row(engine: Engine, event_id: int, kind: str, **columns: Any) -> uuid.UUID:
    """A ledger row that nobody decided, at the end of the event's ledger, with its message; its job id."""
    job_id = uuid7()
    values = {
        "user_id": None,
        "tickets": None,
        "outcome": "done",
        "reason": None,
        "booking_id": None,
        "facts": {},
        "job_id": job_id,
        "event_id": event_id,
        "kind": kind,
        **columns,
    }
    with transaction(engine) as session:
        number = session.scalar(
            text("update events set last_number = last_number + 1 where id = :e returning last_number"),
            {"e": event_id},
        )
        session.execute(
            text(
                "insert into decisions (job_id, event_id, number, kind, user_id, tickets, outcome, reason, booking_id,"
                " available_after, facts, accepted_at, decided_at, hash) values (:job_id, :event_id, :number, :kind,"
                " :user_id, :tickets, :outcome, :reason, :booking_id, 0, cast(:facts as jsonb), now(), now(), '')"
            ),
            {**values, "number": number, "facts": orjson.dumps(values["facts"]).decode()},
        )
        outbox.add_ledger_range(session, event_id, from_number=number, to_number=number)
    return job_id


def add_booking(engine: Engine, event_id: int, user_id: int, *, tickets: int = 1) -> str:
    """A live booking without its decision; its id."""
    booking_id = uuid7()
    with transaction(engine) as session:
        session.execute(
            text(
                "insert into bookings (id, reference, event_id, user_id, job_id, tickets, status, price_minor,"
                " currency, arrival, created_at) values (:id, cast(:id as text), :event, :user, :id, :tickets,"
                " 'confirmed', 0, 'EUR', 1, now())"
            ),
            {"id": booking_id, "event": event_id, "user": user_id, "tickets": tickets},
        )
    return str(booking_id)


def add_entry(engine: Engine, event_id: int, user_id: int, *, number: int, status: str = "waiting") -> str:
    """A waitlist entry that was the ledger's row `number`; its id."""
    entry_id = uuid7()
    with transaction(engine) as session:
        session.execute(
            text(
                "insert into waitlist_entries (id, event_id, user_id, job_id, number, tickets, status, created_at,"
                " ended_at) values (:id, :event, :user, :id, :number, 1, :status, now(),"
                " case when :status in ('waiting', 'offered') then null else now() end)"
            ),
            {"id": entry_id, "event": event_id, "user": user_id, "number": number, "status": status},
        )
    return str(entry_id)


def end_entry(engine: Engine, entry_id: str, status: str) -> None:
    """The entry waits no more."""
    with transaction(engine) as session:
        session.execute(
            text(
                "update waitlist_entries set status = :status,"
                " ended_at = case when :status = 'offered' then null else now() end where id = :id"
            ),
            {"id": entry_id, "status": status},
        )


def add_offer(
    engine: Engine, event_id: int, user_id: int, entry_id: str, *, made: timedelta, expires: timedelta
) -> str:
    """An open offer that was made so long ago and expires in so long, by PostgreSQL's clock; its id."""
    offer_id = uuid7()
    with transaction(engine) as session:
        session.execute(
            text(
                "insert into offers (id, entry_id, event_id, user_id, tickets, status, expires_at, created_at)"
                " values (:id, :entry, :event, :user, 1, 'open', now() + :expires, now() - :made)"
            ),
            {
                "id": offer_id,
                "entry": entry_id,
                "event": event_id,
                "user": user_id,
                "made": made,
                "expires": expires,
            },
        )
    return str(offer_id)


def in_an_hour() -> str:
    """An instant as facts have it."""
    return rfc3339(utc_now() + timedelta(hours=1))
