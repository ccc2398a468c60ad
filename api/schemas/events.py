"""Events over HTTP: what a body and a list query may say, and the documents that go out."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final
from zoneinfo import available_timezones

from marshmallow import ValidationError, fields, validate

from api.fields import Instant, QueryBoolean, about
from api.paging import PagingSchema, Sort, sort_field
from api.parsing import QueryInteger, StrictBoolean, StrictInteger, StrictSchema, Text
from api.schemas.bookings import BOOKING_STATUSES
from shared.clock import rfc3339, rfc3339_or_none
from shared.domain.currencies import CURRENCIES
from shared.domain.events import CANCELLED, COMPLETED, DRAFT, SCHEDULED, sales_state, shown_status
from shared.domain.permissions import Actor
from shared.store.events import EventFilters, EventRow

CAPACITY_MAX: Final = 10_000_000
PRICE_MINOR_MAX: Final = 10**12  # times the largest capacity still fits into a bigint
EVENT_STATUSES: Final = (DRAFT, SCHEDULED, CANCELLED, COMPLETED)

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

    title = Text(
        minimum=1, maximum=200, required=True, metadata=about("What it is called.", "Autumn Jazz Night")
    )
    description = Text(
        maximum=10_000, metadata=about("What awaits who comes; plain text.", "Two sets, one break.")
    )
    venue = Text(maximum=300, metadata=about("Where it takes place.", "Salle Pleyel, Paris"))
    category = Text(maximum=60, metadata=about("What kind of event, for the filter of the list.", "music"))
    code = fields.String(
        allow_none=True,
        validate=validate.Regexp(
            r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}\Z", error="Must be 1 to 40 of A-Z a-z 0-9 _ -."
        ),
        metadata=about("The host's own name for it, unique among events; null for none.", "JAZZ-2030"),
    )
    time_zone = fields.String(
        validate=_known_time_zone,
        metadata=about("IANA time zone of the venue; UTC unless given.", "Europe/Paris"),
    )
    starts_at = Instant(
        required=True, metadata=about("When it starts; in the future.", "2030-06-01T18:00:00Z")
    )
    ends_at = Instant(
        allow_none=True,
        metadata=about("When it ends; null for two hours after the start.", "2030-06-01T21:00:00Z"),
    )
    sales_open_at = Instant(
        allow_none=True,
        metadata=about("From when tickets are sold; null for at once.", "2030-01-15T09:00:00Z"),
    )
    sales_close_at = Instant(
        allow_none=True,
        metadata=about("Until when; null for the start, which is the latest.", "2030-06-01T17:00:00Z"),
    )
    sales_paused = StrictBoolean(metadata=about("Whether the host holds sales back for now.", example=False))
    price_minor = StrictInteger(
        minimum=0,
        maximum=PRICE_MINOR_MAX,
        metadata=about("Price of a ticket in minor units; 0 is free.", 2500),
    )
    currency = fields.String(
        validate=_known_currency, metadata=about("ISO 4217 code of the price; EUR unless given.", "EUR")
    )
    capacity = StrictInteger(
        minimum=1,
        maximum=CAPACITY_MAX,
        required=True,
        metadata=about("Tickets there are; never below what is booked or offered.", 200),
    )
    max_per_booking = StrictInteger(
        minimum=1, maximum=10, metadata=about("Tickets that one booking may have; 10 unless given.", 4)
    )
    waitlist_enabled = StrictBoolean(
        metadata=about(
            "Whether people may wait for tickets that are given back; true unless given.", example=True
        )
    )
    status = fields.String(
        validate=validate.OneOf([DRAFT, SCHEDULED, CANCELLED]),
        metadata=about("A draft is shown to who manages it; cancelled calls the event off.", SCHEDULED),
    )
    organization_id = StrictInteger(
        minimum=1,
        allow_none=True,
        metadata=about("The organization that it belongs to, one of one's own; null for none.", 3),
    )


class NewEventSchema(EventSchema):
    """A new event is a draft or on the list at once."""

    status = fields.String(
        validate=validate.OneOf([DRAFT, SCHEDULED]),
        metadata=about("A draft, the default, is shown to who manages it.", SCHEDULED),
    )


class EventListSchema(PagingSchema):
    """Query of the list of events."""

    sort = sort_field(EVENT_SORTS)
    status = fields.String(
        validate=validate.OneOf(EVENT_STATUSES),
        metadata=about("Only events in this status; without it, and without times, what is not over."),
    )
    category = Text(minimum=1, maximum=60, metadata=about("Only this category, in any case."))
    search = Text(minimum=1, maximum=200, metadata=about("Words of title, description or venue."))
    starts_from = Instant(metadata=about("Only what starts then or later."))
    starts_to = Instant(metadata=about("Only what starts then or earlier."))
    host_id = QueryInteger(minimum=1, metadata=about("Only this host's."))
    organization_id = QueryInteger(minimum=1, metadata=about("Only this organization's."))
    available_only = QueryBoolean(metadata=about("Only what still has tickets, and whose sale is not over."))


class SlotListSchema(PagingSchema):
    """Query of the list of slots."""

    sort = sort_field(SLOT_SORTS)


class DecisionListSchema(PagingSchema):
    """Query of an event's ledger."""

    sort = sort_field(DECISION_SORTS)


class RegistrationListSchema(PagingSchema):
    """Query of one's own registrations."""

    sort = sort_field(REGISTRATION_SORTS)


class AttendeeListSchema(PagingSchema):
    """Query of an event's bookings."""

    sort = sort_field(ATTENDEE_SORTS)
    status = fields.String(
        validate=validate.OneOf(BOOKING_STATUSES), metadata=about("Only bookings in this status.")
    )


class AttendeeExportSchema(StrictSchema):
    """Query of an event's bookings as a file."""

    status = fields.String(
        validate=validate.OneOf(BOOKING_STATUSES), metadata=about("Only bookings in this status.")
    )


_FILTERS: Final = (
    *("status", "category", "search", "starts_from", "starts_to", "host_id", "organization_id"),
    "available_only",
)


def event_filters(
    query: Mapping[str, Any], viewer: Actor | None, *, of_every_time: bool = False, hidden: bool = False
) -> EventFilters:
    """The filters in a loaded EventListSchema, for this viewer."""
    given = {name: query[name] for name in _FILTERS if name in query}
    given |= {"of_every_time": of_every_time, "hidden": hidden}
    if viewer is None:
        return EventFilters(**given)
    return EventFilters(
        **given,
        viewer_id=viewer.user_id,
        viewer_organization_ids=viewer.organization_ids,
        viewer_is_admin=viewer.is_admin,
    )


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
        "sales_paused": event.sales_paused,
        "price_minor": event.price_minor,
        "currency": event.currency,
        "is_free": event.price_minor == 0,
        "capacity": event.capacity,
        "booked": event.booked,
        "available": event.available,
        "max_per_booking": event.max_per_booking,
        "waitlist_enabled": event.waitlist_enabled,
        "status": shown_status(event.status, event.ends_at, event.read_at),
        "sales": sales,
        "organization": _organization(event),
        "host": {"id": event.host_id, "name": event.host_name},
        "impressions": event.impressions,
        "created_at": rfc3339(event.created_at),
        "updated_at": rfc3339(event.updated_at),
    }


def _organization(event: EventRow) -> dict[str, Any] | None:
    if event.organization_id is None:
        return None
    return {
        "id": event.organization_id,
        "name": event.organization_name,
        "logo_url": event.organization_logo_url,
    }


def slots_document(event: EventRow) -> dict[str, int]:
    """How many tickets are left."""
    return {"event_id": event.id, "slots": event.available}
