"""Documents about who comes: attendees, registrations, one's own registration."""

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import fields, validate

from api.fields import InstantText, about
from api.paging import list_document_of
from api.parsing import StrictBoolean, StrictInteger, StrictSchema
from api.schemas.bookings import BookingDocument, booking_document
from api.schemas.event_documents import EventDocument
from api.schemas.events import event_document
from shared.clock import rfc3339, rfc3339_or_none
from shared.domain.outcomes import CONFIRMED
from shared.store.events import EventRow


class AttendeeDocument(StrictSchema):
    """Who made a booking."""

    id = StrictInteger(required=True, minimum=1, metadata=about("The user's id.", 42))
    name = fields.String(required=True, metadata=about("The user's name.", "Ada Lovelace"))
    # no fields.Email: a closed account has an address without a dot in it
    email = fields.String(
        required=True, metadata={"format": "email", **about("The user's address.", "ada@example.org")}
    )


class EventBookingDocument(BookingDocument):
    """A booking as the event's host sees it."""

    attendee = fields.Nested(AttendeeDocument, required=True, metadata=about("Who made it, as they are now."))


class RegistrationDocument(EventDocument):
    """An event that the caller has a live booking of."""

    registration_date = InstantText(
        required=True, metadata=about("When the booking was decided.", "2030-01-15T09:30:00.000000Z")
    )


class RegistrationCheckDocument(StrictSchema):
    """Whether the caller has a live booking of the event."""

    is_registered = StrictBoolean(required=True, metadata=about("Whether there is one.", example=True))
    booking_id = fields.UUID(
        required=True,
        allow_none=True,
        metadata=about("Its id; null when there is none.", "01990f5e-7a10-7c3e-9d42-5b8c1f0e6a21"),
    )
    status = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf([CONFIRMED]),
        metadata=about("Its status; null when there is none.", CONFIRMED),
    )


EventBookingListDocument: Final = list_document_of(EventBookingDocument)
RegistrationListDocument: Final = list_document_of(RegistrationDocument)


def attendee_document(row: Mapping[str, Any], event: EventRow) -> dict[str, Any]:
    """A booking as the event's host sees it: the booking, and who made it."""
    about = {"event_id": event.id, "title": event.title, "venue": event.venue, "starts_at": event.starts_at}
    attendee = {"id": row["user_id"], "name": row["attendee_name"], "email": row["attendee_email"]}
    return {**booking_document({**row, **about}), "attendee": attendee}


ATTENDEE_COLUMNS: Final = (
    *(
        "reference",
        "name",
        "email",
        "tickets",
        "status",
        "price_minor",
        "currency",
        "created_at",
        "cancelled_at",
    ),
)


def attendee_cells(row: Mapping[str, Any]) -> tuple[str | int | None, ...]:
    """A booking as a line of the file, in the order of ATTENDEE_COLUMNS."""
    return (
        row["reference"],
        row["attendee_name"],
        row["attendee_email"],
        row["tickets"],
        row["status"],
        row["price_minor"],
        row["currency"],
        rfc3339(row["created_at"]),
        rfc3339_or_none(row["cancelled_at"]),
    )


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
