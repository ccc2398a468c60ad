"""An event's waitlist: how long it is for everybody, who waits for whoever manages the event."""

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import fields, validate

from api.fields import about
from api.paging import PagingSchema, Sort, list_document_of, sort_field
from api.parsing import StrictBoolean, StrictInteger
from api.schemas.event_bookings import AttendeeDocument
from api.schemas.waitlist import EntryDocument, entry_document
from shared.domain.waitlist import WAITING
from shared.store.waitlist import LIVE_STATUSES, Place, WaitlistLength

EVENT_WAITLIST_SORTS: Final = {"joined_at": Sort("integer")}  # the number in the ledger of who joined


class EventWaitlistSchema(PagingSchema):
    """Query of an event's waitlist; what is about items matters to whoever manages the event."""

    status = fields.String(
        load_default=WAITING,
        validate=validate.OneOf(LIVE_STATUSES),
        metadata=about("Those who wait, or those who have an offer."),
    )
    sort = sort_field(EVENT_WAITLIST_SORTS)


class WaitingAttendeeDocument(EntryDocument):
    """A place on the waitlist as whoever manages the event sees it."""

    attendee = fields.Nested(AttendeeDocument, required=True, metadata=about("Whose it is, as they are now."))


class EventWaitlistDocument(list_document_of(WaitingAttendeeDocument)):  # type: ignore[misc]  # made at run time
    """How long the waitlist is; with a page of who is on it for whoever manages the event."""

    event_id = StrictInteger(required=True, minimum=1, metadata=about("The event's id.", 7))
    waitlist_enabled = StrictBoolean(
        required=True, metadata=about("Whether one can wait for tickets.", example=True)
    )
    length = StrictInteger(required=True, minimum=0, metadata=about("Entries that wait.", 12))
    offered = StrictInteger(
        required=True, minimum=0, metadata=about("Tickets that are held in open offers.", 2)
    )
    items = fields.List(
        fields.Nested(WaitingAttendeeDocument),
        required=True,
        allow_none=True,
        metadata=about("The page, in the order of joining; null for who does not manage the event."),
    )


def event_waitlist_document(
    event_id: int, length: WaitlistLength, page: Mapping[str, Any] | None
) -> dict[str, Any]:
    """How long it is, and a page of it (None: not for the caller)."""
    return {
        "event_id": event_id,
        "waitlist_enabled": length.waitlist_enabled,
        "length": length.length,
        "offered": length.offered,
        **({"items": None, "next_cursor": None} if page is None else page),
    }


def waiting_attendee_document(row: Mapping[str, Any], place: Place | None) -> dict[str, Any]:
    """A place on the waitlist, and whose it is."""
    attendee = {"id": row["user_id"], "name": row["attendee_name"], "email": row["attendee_email"]}
    return {**entry_document(row, place), "attendee": attendee}
