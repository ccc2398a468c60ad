"""Reading bookings with the event each is for."""

import uuid
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.store.paging import ListQuery, Page, PageRequest, fetch_page

_COLUMNS: Final = """
    b.id, b.reference, b.event_id, b.user_id, b.tickets, b.status, b.price_minor, b.currency, b.arrival,
    b.created_at, b.cancelled_at, e.title, e.venue, e.starts_at, e.host_id,
    e.organization_id
"""
_TABLES: Final = "bookings b join events e on e.id = b.event_id"
_KEYS: Final = {"created_at": "b.id", "starts_at": "e.starts_at"}


def find_booking(session: Session, booking_id: uuid.UUID) -> dict[str, Any] | None:
    """The booking, None when there is none. One round trip."""
    return _find_one(session, "b.id = :value", booking_id)


def find_booking_by_reference(session: Session, reference: str) -> dict[str, Any] | None:
    """The booking with this human reference, however it was typed. One round trip."""
    symbols = "".join(
        character for character in reference.upper() if character.isalnum() and character.isascii()
    )
    half = len(symbols) // 2
    return _find_one(session, "b.reference = :value", f"{symbols[:half]}-{symbols[half:]}")


def _find_one(session: Session, condition: str, value: object) -> dict[str, Any] | None:
    statement = text(f"select {_COLUMNS} from {_TABLES} where {condition}")  # noqa: S608 - constants only
    row = session.execute(statement, {"value": value}).mappings().one_or_none()
    return None if row is None else dict(row)


def list_bookings(
    session: Session,
    *,
    user_id: int | None,
    event_id: int | None,
    status: str | None,
    upcoming_only: bool,
    page: PageRequest,
) -> Page:
    """A page of bookings; filters that are None do not filter. One round trip, two with a total."""
    conditions = {
        "b.user_id = :user_id": user_id,
        "b.event_id = :event_id": event_id,
        "b.status = :status": status,
        "e.starts_at > now()": upcoming_only or None,
    }
    query = ListQuery(
        columns=_COLUMNS,
        tables=_TABLES,
        conditions=[condition for condition, value in conditions.items() if value is not None],
        parameters={"user_id": user_id, "event_id": event_id, "status": status},
        key=_KEYS[page.sort],
        id="b.id",
    )
    return fetch_page(session, query, page)
