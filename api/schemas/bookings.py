"""Bookings over HTTP."""

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import fields, validate

from api.fields import InstantText, QueryBoolean, about
from api.paging import PagingSchema, Sort, list_document_of, sort_field
from api.parsing import QueryInteger, StrictInteger, StrictSchema
from shared.clock import rfc3339, rfc3339_or_none
from shared.domain.outcomes import CANCELLED, CONFIRMED

BOOKING_STATUSES: Final = (CONFIRMED, CANCELLED)
BOOKING_SORTS: Final = {
    "created_at": Sort("uuid", descending=True),  # booking ids are UUIDv7: their order is that of creation
    "starts_at": Sort("instant"),
}


class BookingListSchema(PagingSchema):
    """Query of a list of bookings."""

    sort = sort_field(BOOKING_SORTS)
    event_id = QueryInteger(
        minimum=1, metadata=about("Only bookings of this event; its host sees everybody's, others their own.")
    )
    status = fields.String(
        validate=validate.OneOf(BOOKING_STATUSES), metadata=about("Only bookings in this status.")
    )
    upcoming_only = QueryBoolean(metadata=about("Only of events that have not started."))


class BookedEventDocument(StrictSchema):
    """What a booking says about its event."""

    id = StrictInteger(required=True, minimum=1, metadata=about("The event's id.", 7))
    title = fields.String(required=True, metadata=about("What it is called.", "Autumn Jazz Night"))
    venue = fields.String(required=True, metadata=about("Where it takes place.", "Salle Pleyel, Paris"))
    starts_at = InstantText(required=True, metadata=about("When it starts.", "2030-06-01T18:00:00.000000Z"))


class BookingDocument(StrictSchema):
    """Tickets of one user for one event."""

    id = fields.UUID(
        required=True, metadata=about("The booking's id.", "01990f5e-7a10-7c3e-9d42-5b8c1f0e6a21")
    )
    reference = fields.String(
        required=True,
        validate=validate.Regexp(r"[0-9A-Z]{4}-[0-9A-Z]{4}\Z"),
        metadata=about("What stands on the ticket; `GET /api/bookings/reference/…` finds it.", "K7Q2-9XMD"),
    )
    event = fields.Nested(BookedEventDocument, required=True, metadata=about("The event, as it is now."))
    user_id = StrictInteger(required=True, minimum=1, metadata=about("Whose booking it is.", 42))
    tickets = StrictInteger(required=True, minimum=1, metadata=about("How many tickets.", 2))
    status = fields.String(
        required=True,
        validate=validate.OneOf(BOOKING_STATUSES),
        metadata=about("Live, or given back.", CONFIRMED),
    )
    price_minor = StrictInteger(
        required=True,
        minimum=0,
        metadata=about("Price of a ticket, in minor units, when it was booked.", 2500),
    )
    currency = fields.String(required=True, metadata=about("ISO 4217 code of the price.", "EUR"))
    arrival = StrictInteger(
        required=True, minimum=1, metadata=about("The arrival number of the request that booked.", 318)
    )
    created_at = InstantText(
        required=True, metadata=about("When it was decided.", "2030-01-15T09:30:00.000000Z")
    )
    cancelled_at = InstantText(
        required=True, allow_none=True, metadata=about("When it was given back; null while it is live.")
    )


BookingListDocument: Final = list_document_of(BookingDocument)


def booking_document(row: Mapping[str, Any]) -> dict[str, Any]:
    """A booking as it stands now."""
    return {
        "id": str(row["id"]),
        "reference": row["reference"],
        "event": {
            "id": row["event_id"],
            "title": row["title"],
            "venue": row["venue"],
            "starts_at": rfc3339(row["starts_at"]),
        },
        "user_id": row["user_id"],
        "tickets": row["tickets"],
        "status": row["status"],
        "price_minor": row["price_minor"],
        "currency": row["currency"],
        "arrival": row["arrival"],
        "created_at": rfc3339(row["created_at"]),
        "cancelled_at": rfc3339_or_none(row["cancelled_at"]),
    }
