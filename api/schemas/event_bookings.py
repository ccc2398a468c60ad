"""Documents about who comes: attendees, registrations, one's own registration."""

from collections.abc import Mapping
from typing import Any

from api.schemas.bookings import booking_document
from api.schemas.events import event_document
from shared.clock import rfc3339
from shared.store.events import EventRow


def attendee_document(row: Mapping[str, Any], event: EventRow) -> dict[str, Any]:
    """A booking as the event's host sees it: the booking, and who made it."""
    about = {"event_id": event.id, "title": event.title, "venue": event.venue, "starts_at": event.starts_at}
    attendee = {"id": row["user_id"], "name": row["attendee_name"], "email": row["attendee_email"]}
    return {**booking_document({**row, **about}), "attendee": attendee}


def registration_document(event: EventRow, row: Mapping[str, Any]) -> dict[str, Any]:
    """An event the caller has a live booking of, and since when."""
    return {**event_document(event), "registration_date": rfc3339(row["registered_at"])}


def registration_check_document(booking: Mapping[str, Any] | None) -> dict[str, Any]:
    """Whether the caller has a live booking, and which."""
    return {
        "is_registered": booking is not None,
        "booking_id": None if booking is None else str(booking["id"]),
        "status": None if booking is None else booking["status"],
    }
