"""Documents about who comes: attendees, registrations, one's own registration."""

from collections.abc import Mapping
from typing import Any

from api.schemas.events import event_document
from shared.clock import rfc3339, rfc3339_or_none
from shared.store.events import EventRow


def attendee_document(row: Mapping[str, Any], event: EventRow) -> dict[str, Any]:
    """A booking as the event's host sees it: the booking, and who made it."""
    return {
        "id": str(row["id"]),
        "reference": row["reference"],
        "event": {
            "id": event.id,
            "title": event.title,
            "venue": event.venue,
            "starts_at": rfc3339(event.starts_at),
        },
        "user_id": row["user_id"],
        "attendee": {"id": row["user_id"], "name": row["attendee_name"], "email": row["attendee_email"]},
        "tickets": row["tickets"],
        "status": row["status"],
        "price_minor": row["price_minor"],
        "currency": row["currency"],
        "arrival": row["arrival"],
        "created_at": rfc3339(row["created_at"]),
        "cancelled_at": rfc3339_or_none(row["cancelled_at"]),
    }


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
