"""Events over HTTP: what a body and a list query may say, and the documents that go out."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final
from zoneinfo import available_timezones

from marshmallow import ValidationError, fields, validate

from api.fields import Instant, QueryBoolean
from api.paging import PagingSchema, Sort
from api.parsing import QueryInteger, StrictBoolean, StrictInteger, StrictSchema, Text
from shared.clock import rfc3339, rfc3339_or_none
from shared.domain.currencies import CURRENCIES
from shared.domain.events import sales_state, shown_status
from shared.store.events import EventFilters, EventRow

CAPACITY_MAX: Final = 10_000_000
PRICE_MINOR_MAX: Final = 10**12  # times the largest capacity still fits into a bigint

EVENT_SORTS: Final = {
    "starts_at": Sort("instant"),
    "created_at": Sort("instant", descending=True),
    "title": Sort("text"),
    "popularity": Sort("integer", descending=True),
    "price": Sort("integer"),
}
SLOT_SORTS: Final = {"starts_at": Sort("instant")}
DECISION_SORTS: Final = {"number": Sort("integer")}
ATTENDEE_SORTS: Final = {"created_at": Sort("uuid")}  # UUIDv7: their order is that of their making
REGISTRATION_SORTS: Final = {"created_at": Sort("uuid", descending=True)}


@cache
def _time_zones() -> frozenset[str]:
    """IANA's names; reading the directory takes 10 ms, once a process."""
    return frozenset(available_timezones())


def _known_time_zone(name: str) -> None:
    if name not in _time_zones():
        raise ValidationError("Must be an IANA time zone, such as Europe/Paris.")


def _known_currency(code: str) -> None:
    if code not in CURRENCIES:
        raise ValidationError("Must be an ISO 4217 code in use, such as EUR.")


class EventSchema(StrictSchema):
    """The writable fields of an event. POST and PUT take it whole, PATCH in part (`partial=True`).

    null means: back to the default, where there is one. Rules between fields are the domain's.
    """

    title = Text(minimum=1, maximum=200, required=True)
    description = Text(maximum=10_000)
    venue = Text(maximum=300)
    category = Text(maximum=60)
    code = fields.String(
        allow_none=True,
        validate=validate.Regexp(
            r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}\Z", error="Must be 1 to 40 of A-Z a-z 0-9 _ -."
        ),
    )
    time_zone = fields.String(validate=_known_time_zone)
    starts_at = Instant(required=True)
    ends_at = Instant(allow_none=True)
    sales_open_at = Instant(allow_none=True)
    sales_close_at = Instant(allow_none=True)
    sales_paused = StrictBoolean()
    price_minor = StrictInteger(minimum=0, maximum=PRICE_MINOR_MAX)
    currency = fields.String(validate=_known_currency)
    capacity = StrictInteger(minimum=1, maximum=CAPACITY_MAX, required=True)
    max_per_booking = StrictInteger(minimum=1, maximum=10)
    status = fields.String(validate=validate.OneOf(["draft", "scheduled", "cancelled"]))


class NewEventSchema(EventSchema):
    """A new event is a draft or on the list at once."""

    status = fields.String(validate=validate.OneOf(["draft", "scheduled"]))


class EventListSchema(PagingSchema):
    """Query of the list of events."""

    status = fields.String(validate=validate.OneOf(["draft", "scheduled", "cancelled", "completed"]))
    category = Text(minimum=1, maximum=60)
    search = Text(minimum=1, maximum=200)
    starts_from = Instant()
    starts_to = Instant()
    host_id = QueryInteger(minimum=1)
    available_only = QueryBoolean()


class AttendeeListSchema(PagingSchema):
    """Query of an event's bookings."""

    status = fields.String(validate=validate.OneOf(["confirmed", "cancelled"]))


_FILTERS: Final = ("status", "category", "search", "starts_from", "starts_to", "host_id", "available_only")


def event_filters(query: Mapping[str, Any], *, viewer_id: int | None, viewer_is_admin: bool) -> EventFilters:
    """The filters in a loaded EventListSchema, for this viewer."""
    given = {name: query[name] for name in _FILTERS if name in query}
    return EventFilters(**given, viewer_id=viewer_id, viewer_is_admin=viewer_is_admin)


def event_document(event: EventRow) -> dict[str, Any]:
    """The event as clients see it, at the time it was read."""
    sales = sales_state(
        status=event.status,
        sales_open_at=event.sales_open_at,
        sales_close_at=event.sales_close_at,
        sales_paused=event.sales_paused,
        line_paused=event.line_paused,
        available=event.available,
        at=event.read_at,
    )
    return {
        "id": event.id,
        "title": event.title,
        "description": event.description,
        "venue": event.venue,
        "category": event.category,
        "code": event.code,
        "time_zone": event.time_zone,
        "starts_at": rfc3339(event.starts_at),
        "ends_at": rfc3339(event.ends_at),
        "sales_open_at": rfc3339_or_none(event.sales_open_at),
        "sales_close_at": rfc3339(event.sales_close_at),
        "price_minor": event.price_minor,
        "currency": event.currency,
        "is_free": event.price_minor == 0,
        "capacity": event.capacity,
        "booked": event.booked,
        "available": event.available,
        "max_per_booking": event.max_per_booking,
        "status": shown_status(event.status, event.ends_at, event.read_at),
        "sales": sales,
        "organization": None,
        "host": {"id": event.host_id, "name": event.host_name},
        "impressions": event.impressions,
        "created_at": rfc3339(event.created_at),
        "updated_at": rfc3339(event.updated_at),
    }


def slots_document(event: EventRow) -> dict[str, int]:
    """How many tickets are left."""
    return {"event_id": event.id, "slots": event.available}
