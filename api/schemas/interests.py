"""Interest in events on the wire."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, get_args

from marshmallow import fields, validate

from api.fields import InstantText, about
from api.paging import PagingSchema, Sort, list_document_of, sort_field
from api.parsing import StrictInteger, StrictSchema
from api.schemas.events import EVENT_STATUSES, event_document
from shared.clock import rfc3339
from shared.domain.events import SCHEDULED, Sales
from shared.store.events import EventRow

INTEREST_SORTS: Final = {"created_at": Sort("instant", descending=True)}
INTERESTED_SORTS: Final = {"created_at": Sort("instant")}


class InterestListSchema(PagingSchema):
    """Query of one's own interests."""

    sort = sort_field(INTEREST_SORTS)


class InterestedListSchema(PagingSchema):
    """Query of who is interested in an event."""

    sort = sort_field(INTERESTED_SORTS)


class ShortEventDocument(StrictSchema):
    """An event in short."""

    id = StrictInteger(required=True, minimum=1, metadata=about("The event's id.", 7))
    title = fields.String(required=True, metadata=about("What it is called.", "Autumn Jazz Night"))
    venue = fields.String(required=True, metadata=about("Where it takes place.", "Salle Pleyel, Paris"))
    starts_at = InstantText(required=True, metadata=about("When it starts.", "2030-06-01T18:00:00.000000Z"))
    sales_open_at = InstantText(
        required=True,
        allow_none=True,
        metadata=about("From when tickets are sold; null for at once.", "2030-01-15T09:00:00.000000Z"),
    )
    status = fields.String(
        required=True,
        validate=validate.OneOf(EVENT_STATUSES),
        metadata=about("completed is derived: scheduled, and over.", SCHEDULED),
    )
    sales = fields.String(
        required=True,
        validate=validate.OneOf(get_args(Sales)),
        metadata=about("Derived: what a booking request would meet now.", "not_open"),
    )


class InterestDocument(StrictSchema):
    """Somebody wants to be told when the sale of this event opens."""

    event = fields.Nested(ShortEventDocument, required=True, metadata=about("The event, as it is now."))
    created_at = InstantText(
        required=True, metadata=about("Since when they want that.", "2030-01-10T08:00:00.000000Z")
    )


class InterestedUserDocument(StrictSchema):
    """Who is interested."""

    id = StrictInteger(required=True, minimum=1, metadata=about("The user's id.", 42))
    name = fields.String(required=True, metadata=about("The user's name.", "Ada Lovelace"))


class InterestedDocument(StrictSchema):
    """One of those who are interested in an event, as its host sees them: without an address, for they have bought
    nothing.
    """

    user = fields.Nested(InterestedUserDocument, required=True, metadata=about("Who."))
    created_at = InstantText(required=True, metadata=about("Since when.", "2030-01-10T08:00:00.000000Z"))


InterestListDocument: Final = list_document_of(InterestDocument)


class InterestedListDocument(list_document_of(InterestedDocument)):  # type: ignore[misc]
    """One page of those who are interested in an event."""

    interested_count = StrictInteger(
        required=True, minimum=0, metadata=about("How many there are, on every page, exactly.", 1318)
    )


_SHORT: Final = tuple(ShortEventDocument().fields)


def interest_document(event: EventRow, created_at: datetime) -> dict[str, Any]:
    """An interest, with its event in short."""
    whole = event_document(event)
    return {"event": {name: whole[name] for name in _SHORT}, "created_at": rfc3339(created_at)}


def interested_document(row: Mapping[str, Any]) -> dict[str, Any]:
    """Who is interested, and since when."""
    return {
        "user": {"id": row["user_id"], "name": row["user_name"]},
        "created_at": rfc3339(row["created_at"]),
    }
