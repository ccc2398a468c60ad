"""Who comes to an event, and which events somebody comes to."""

from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.store.events import EVENT_COLUMNS, EVENT_TABLES
from shared.store.paging import ListQuery, Page, PageRequest, fetch_page

# Booking ids are UUIDv7, so their order is that of the bookings.
_ATTENDEE_COLUMNS: Final = """
    b.id, b.reference, b.user_id, b.tickets, b.status, b.price_minor, b.currency, b.arrival, b.created_at,
    b.cancelled_at, u.name as attendee_name, u.email as attendee_email
"""


def find_live_booking(session: Session, *, event_id: int, user_id: int) -> dict[str, Any] | None:
    """Id and status of the user's live booking of the event. One round trip."""
    statement = text(
        "select id, status from bookings "
        "where event_id = :event_id and user_id = :user_id and status <> 'cancelled'"
    )
    row = session.execute(statement, {"event_id": event_id, "user_id": user_id}).mappings().one_or_none()
    return None if row is None else dict(row)


def find_last_booking(session: Session, *, event_id: int, user_id: int) -> dict[str, Any] | None:
    """Id and status of the user's newest booking of the event, live or cancelled. One round trip."""
    statement = text(
        "select id, status from bookings "
        "where event_id = :event_id and user_id = :user_id order by id desc limit 1"
    )
    row = session.execute(statement, {"event_id": event_id, "user_id": user_id}).mappings().one_or_none()
    return None if row is None else dict(row)


def list_attendees(session: Session, *, event_id: int, status: str | None, page: PageRequest) -> Page:
    """Bookings of an event with name and address of who booked, in the order in which they were made."""
    query = ListQuery(
        columns=_ATTENDEE_COLUMNS,
        tables="bookings b join users u on u.id = b.user_id",
        conditions=["b.event_id = :event_id", *(["b.status = :status"] if status else [])],
        parameters={"event_id": event_id, "status": status},
        key="b.id",
        id="b.id",
    )
    return fetch_page(session, query, page)


def list_registrations(session: Session, *, user_id: int, page: PageRequest) -> Page:
    """Events with a live booking of the user, by booking; rows for `make_event_row`, with `registered_at`."""
    query = ListQuery(
        columns=f"{EVENT_COLUMNS}, b.created_at as registered_at",
        tables=f"{EVENT_TABLES} join bookings b on b.event_id = e.id",
        conditions=["b.user_id = :user_id", "b.status <> 'cancelled'"],
        parameters={"user_id": user_id},
        key="b.id",
        id="b.id",
    )
    return fetch_page(session, query, page)
