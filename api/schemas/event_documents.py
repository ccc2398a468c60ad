"""What an event looks like to clients: the whole, and how many tickets are left."""

from typing import Final, get_args

from marshmallow import fields, validate

from api.fields import InstantText, about
from api.paging import list_document_of
from api.parsing import StrictBoolean, StrictInteger, StrictSchema
from api.schemas.events import EVENT_STATUSES
from shared.domain.events import SCHEDULED, Sales


class HostDocument(StrictSchema):
    """Whose event it is."""

    id = StrictInteger(required=True, minimum=1, metadata=about("The host's user id.", 5))
    name = fields.String(required=True, metadata=about("The host's name.", "Clara Schumann"))


class EventOrganizationDocument(StrictSchema):
    """Who stands behind an event."""

    id = StrictInteger(required=True, minimum=1, metadata=about("The organization's id.", 3))
    name = fields.String(required=True, metadata=about("Its name.", "Cello Festival"))
    logo_url = fields.String(
        required=True,
        allow_none=True,
        metadata=about("Its logo, if any.", "https://cellofestival.example/logo.svg"),
    )


class EventDocument(StrictSchema):
    """An event, as it was when it was read."""

    id = StrictInteger(required=True, minimum=1, metadata=about("The event's id.", 7))
    title = fields.String(required=True, metadata=about("What it is called.", "Autumn Jazz Night"))
    description = fields.String(
        required=True, metadata=about("What awaits who comes; may be empty.", "Two sets, one break.")
    )
    venue = fields.String(
        required=True, metadata=about("Where it takes place; may be empty.", "Salle Pleyel, Paris")
    )
    category = fields.String(required=True, metadata=about("What kind of event; may be empty.", "music"))
    code = fields.String(
        required=True, allow_none=True, metadata=about("The host's own name for it, if any.", "JAZZ-2030")
    )
    time_zone = fields.String(required=True, metadata=about("IANA time zone of the venue.", "Europe/Paris"))
    starts_at = InstantText(required=True, metadata=about("When it starts.", "2030-06-01T18:00:00.000000Z"))
    ends_at = InstantText(required=True, metadata=about("When it ends.", "2030-06-01T21:00:00.000000Z"))
    sales_open_at = InstantText(
        required=True,
        allow_none=True,
        metadata=about("From when tickets are sold; null for at once.", "2030-01-15T09:00:00.000000Z"),
    )
    sales_close_at = InstantText(
        required=True, metadata=about("Until when tickets are sold.", "2030-06-01T17:00:00.000000Z")
    )
    sales_paused = StrictBoolean(
        required=True, metadata=about("Whether the host holds sales back for now.", example=False)
    )
    price_minor = StrictInteger(
        required=True, minimum=0, metadata=about("Price of a ticket, in minor units.", 2500)
    )
    currency = fields.String(required=True, metadata=about("ISO 4217 code of the price.", "EUR"))
    is_free = StrictBoolean(required=True, metadata=about("Whether the price is 0.", example=False))
    capacity = StrictInteger(required=True, minimum=1, metadata=about("Tickets there are.", 200))
    booked = StrictInteger(required=True, minimum=0, metadata=about("Tickets in live bookings.", 142))
    available = StrictInteger(
        required=True, minimum=0, metadata=about("Tickets that a new booking could get now.", 58)
    )
    max_per_booking = StrictInteger(
        required=True, minimum=1, maximum=10, metadata=about("Tickets that one booking may have.", 4)
    )
    waitlist_enabled = StrictBoolean(
        required=True, metadata=about("Whether people may wait for tickets.", example=True)
    )
    status = fields.String(
        required=True,
        validate=validate.OneOf(EVENT_STATUSES),
        metadata=about("completed is derived: scheduled, and over.", SCHEDULED),
    )
    sales = fields.String(
        required=True,
        validate=validate.OneOf(get_args(Sales)),
        metadata=about("Derived: what a booking request would meet now.", "open"),
    )
    organization = fields.Nested(
        EventOrganizationDocument,
        required=True,
        allow_none=True,
        metadata=about("Who stands behind it; null where that is its host alone."),
    )
    host = fields.Nested(HostDocument, required=True, metadata=about("Whose event it is."))
    impressions = StrictInteger(
        required=True, minimum=0, metadata=about("How often it was looked at, up to a second ago.", 1730)
    )
    created_at = InstantText(
        required=True, metadata=about("When it was made.", "2030-01-10T08:00:00.000000Z")
    )
    updated_at = InstantText(
        required=True, metadata=about("When it was edited last.", "2030-01-12T16:20:00.000000Z")
    )


class SlotsDocument(StrictSchema):
    """How many tickets are left."""

    event_id = StrictInteger(required=True, minimum=1, metadata=about("The event's id.", 7))
    slots = StrictInteger(
        required=True, minimum=0, metadata=about("Tickets that a new booking could get now.", 58)
    )


EventListDocument: Final = list_document_of(EventDocument)
SlotsListDocument: Final = list_document_of(SlotsDocument)
