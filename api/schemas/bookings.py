"""Bookings over HTTP."""

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import fields, validate

from api.fields import QueryBoolean
from api.paging import PagingSchema, Sort
from api.parsing import QueryInteger
from shared.clock import rfc3339, rfc3339_or_none

BOOKING_SORTS: Final = {
    "created_at": Sort("uuid", descending=True),  # booking ids are UUIDv7: their order is that of creation
    "starts_at": Sort("instant"),
}


class BookingListSchema(PagingSchema):
    """Query of a list of bookings."""

    event_id = QueryInteger(minimum=1)
    status = fields.String(validate=validate.OneOf(["confirmed", "cancelled"]))
    upcoming_only = QueryBoolean()


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
