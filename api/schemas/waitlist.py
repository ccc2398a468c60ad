"""Places on waitlists: what joining asks for, and one's own entries with their offers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from marshmallow import fields, validate

from api.fields import InstantText, about
from api.paging import PagingSchema, Sort, list_document_of, sort_field
from api.parsing import StrictBoolean, StrictInteger, StrictSchema
from api.schemas.bookings import BookedEventDocument
from api.schemas.requests import TICKETS_MAX
from shared.clock import rfc3339, rfc3339_or_none
from shared.domain.waitlist import OPEN, WAITING
from shared.store.waitlist import ENTRY_STATUSES, OFFER_STATUSES, PLACES_MAX, Place

_ENTRY_ID: Final = "01990f5e-8c11-7d2a-a0c4-7be1d20f9a53"
_OFFER_ID: Final = "01990f61-0a3f-7b77-9c55-1e8d4a6b2f10"
_OFFER_LINK: Final = f"/api/waitlist/offers/{_OFFER_ID}"

WAITLIST_SORTS: Final = {"joined_at": Sort("uuid", descending=True)}


class JoinSchema(StrictSchema):
    """Body of joining a waitlist."""

    event_id = StrictInteger(minimum=1, required=True, metadata=about("The event's id.", 7))
    tickets = StrictInteger(
        minimum=1, maximum=TICKETS_MAX, load_default=1, metadata=about("How many; all of them or none.", 2)
    )


class WaitlistSchema(PagingSchema):
    """Query of one's own places on waitlists."""

    status = fields.String(
        validate=validate.OneOf(ENTRY_STATUSES), metadata=about("Only those with this status.")
    )
    sort = sort_field(WAITLIST_SORTS)


class OfferLinksDocument(StrictSchema):
    """What to do about an open offer."""

    accept = fields.String(required=True, metadata=about("POST: book its tickets.", f"{_OFFER_LINK}/accept"))
    decline = fields.String(
        required=True, metadata=about("POST: let who waits next have them.", f"{_OFFER_LINK}/decline")
    )


class OfferDocument(StrictSchema):
    """Tickets that are held for somebody who waited, until `expires_at`; an entry gets one offer at most."""

    id = fields.UUID(required=True, metadata=about("The offer's id.", _OFFER_ID))
    tickets = StrictInteger(required=True, minimum=1, metadata=about("All of them or none.", 2))
    status = fields.String(
        required=True,
        validate=validate.OneOf(OFFER_STATUSES),
        metadata=about("open, or how it ended; whoever leaves the waitlist declines.", OPEN),
    )
    expires_at = InstantText(
        required=True,
        metadata=about("Until when it may be accepted.", "2030-01-15T10:30:00.000000Z"),
    )
    links = fields.Nested(
        OfferLinksDocument,
        required=True,
        allow_none=True,
        metadata=about("How to answer it; null when it is too late."),
    )


class EntryDocument(StrictSchema):
    """A place on an event's waitlist."""

    id = fields.UUID(required=True, metadata=about("The entry's id.", _ENTRY_ID))
    position = StrictInteger(
        required=True,
        minimum=1,
        allow_none=True,
        metadata=about(
            "Entries of the event that wait before it, plus 1; null unless it waits.",
            4,
        ),
    )
    position_is_exact = StrictBoolean(
        required=True,
        metadata=about(
            f"False when more than {PLACES_MAX:,} entries wait before it and as many behind it: its place is"
            " `position` or further behind.",
            example=True,
        ),
    )
    tickets = StrictInteger(required=True, minimum=1, metadata=about("All of them or none.", 2))
    status = fields.String(
        required=True,
        validate=validate.OneOf(ENTRY_STATUSES),
        metadata=about(
            "waiting, offered, or how it ended: accepted, declined, expired (also when the event has started or was"
            " called off), left.",
            WAITING,
        ),
    )
    offer = fields.Nested(
        OfferDocument,
        required=True,
        allow_none=True,
        metadata=about("The tickets that it was offered; null before."),
    )
    joined_at = InstantText(
        required=True, metadata=about("When joining was decided.", "2030-01-15T09:30:00.000000Z")
    )
    ended_at = InstantText(
        required=True,
        allow_none=True,
        metadata=about("When it was accepted, declined, expired or left; null before."),
    )


class MyEntryDocument(EntryDocument):
    """One's own place on an event's waitlist."""

    event = fields.Nested(BookedEventDocument, required=True, metadata=about("The event, as it is now."))


MyEntryListDocument: Final = list_document_of(MyEntryDocument)


def entry_document(row: Mapping[str, Any], place: Place | None) -> dict[str, Any]:
    """A place on a waitlist, from a row of `shared.store.waitlist`; `place` if it waits."""
    return {
        "id": str(row["id"]),
        "position": None if place is None else place.position,
        "position_is_exact": place is None or place.is_exact,
        "tickets": row["tickets"],
        "status": row["status"],
        "offer": _offer_document(row, row["read_at"]),
        "joined_at": rfc3339(row["created_at"]),
        "ended_at": rfc3339_or_none(row["ended_at"]),
    }


def my_entry_document(row: Mapping[str, Any], place: Place | None) -> dict[str, Any]:
    """One's own place, with the event that it is for."""
    event = {
        "id": row["event_id"],
        "title": row["title"],
        "venue": row["venue"],
        "starts_at": rfc3339(row["starts_at"]),
    }
    return {**entry_document(row, place), "event": event}


def _offer_document(row: Mapping[str, Any], now: datetime) -> dict[str, Any] | None:
    if row["offer_id"] is None:
        return None
    links = None
    if row["offer_status"] == OPEN and now < row["offer_expires_at"]:
        path = f"/api/waitlist/offers/{row['offer_id']}"
        links = {"accept": f"{path}/accept", "decline": f"{path}/decline"}
    return {
        "id": str(row["offer_id"]),
        "tickets": row["tickets"],
        "status": row["offer_status"],
        "expires_at": rfc3339(row["offer_expires_at"]),
        "links": links,
    }
