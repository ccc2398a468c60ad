"""Notifications on the wire."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from marshmallow import fields, validate

from api.fields import InstantText, QueryBoolean, about
from api.paging import PagingSchema, Sort, list_document_of, sort_field
from api.parsing import StrictInteger, StrictSchema
from shared.clock import rfc3339, rfc3339_or_none
from shared.domain.notifications import BOOKING_CONFIRMED, KINDS, WAITLIST_KINDS, EventAbout, words

NOTIFICATION_SORTS: Final = {"unread": Sort("integer", descending=True)}

_EVENT_ID_EXAMPLE: Final = 7


def _kinds(kinds: Sequence[str]) -> validate.OneOf:
    return validate.OneOf(kinds, error=f"Must be one of: {', '.join(kinds)}.")


class NotificationListSchema(PagingSchema):
    """Query of one's notifications."""

    sort = sort_field(NOTIFICATION_SORTS)
    unread = QueryBoolean(metadata=about("Only unread ones, or only those that were read."))
    kind = fields.String(validate=_kinds(list(KINDS)), metadata=about("Only those of this kind."))


class WaitlistNotificationListSchema(NotificationListSchema):
    """Query of one's notifications about waitlists."""

    kind = fields.String(validate=_kinds(WAITLIST_KINDS), metadata=about("Only those of this kind."))


class NotificationEventDocument(StrictSchema):
    """The event that it is about, as it is now."""

    id = StrictInteger(required=True, minimum=1, metadata=about("The event's id.", _EVENT_ID_EXAMPLE))
    title = fields.String(required=True, metadata=about("What it is called.", "Autumn Jazz Night"))
    venue = fields.String(required=True, metadata=about("Where it takes place.", "Salle Pleyel, Paris"))
    starts_at = InstantText(required=True, metadata=about("When it starts.", "2030-06-01T18:00:00.000000Z"))


class NotificationDocument(StrictSchema):
    """Something that one person is told, once."""

    id = fields.UUID(
        required=True, metadata=about("The notification's id.", "01990f5e-79b4-7f0a-8a6c-2d41be907c55")
    )
    kind = fields.String(
        required=True,
        validate=validate.OneOf(list(KINDS)),
        metadata=about("What it tells.", BOOKING_CONFIRMED),
    )
    title = fields.String(required=True, metadata=about("For a person, short.", "Booking confirmed"))
    body = fields.String(
        required=True,
        metadata=about(
            "For a person; instants in the event's time zone.",
            "2 tickets for Autumn Jazz Night, Sat 1 June 2030, 20:00 (Europe/Paris). Reference K7Q2-9XMD.",
        ),
    )
    event = fields.Nested(NotificationEventDocument, required=True, metadata=about("The event."))
    facts = fields.Dict(
        required=True,
        keys=fields.String(),
        metadata=about(
            "For a program; its members depend on the kind.",
            {
                "booking_id": "01990f5e-7a10-7c3e-9d42-5b8c1f0e6a21",
                "tickets": 2,
                "reference": "K7Q2-9XMD",
            },
        ),
    )
    created_at = InstantText(
        required=True, metadata=about("When it was told.", "2030-01-15T09:30:00.000000Z")
    )
    read_at = InstantText(
        required=True, allow_none=True, metadata=about("When it was marked read; null while it is unread.")
    )


class NotificationListDocument(list_document_of(NotificationDocument)):  # type: ignore[misc]
    """One page of one's notifications."""

    unread_count = StrictInteger(
        required=True, minimum=0, metadata=about("All that are unread, on every page and of every kind.", 3)
    )


class MarkedReadDocument(StrictSchema):
    """What was marked."""

    marked = StrictInteger(
        required=True, minimum=0, metadata=about("How many notifications were unread until now.", 3)
    )


def notification_document(row: Mapping[str, Any]) -> dict[str, Any]:
    """One notification, in words of now: an event's new title stands in old notifications too."""
    event = EventAbout(
        title=row["title"],
        starts_at=row["starts_at"],
        time_zone=row["time_zone"],
        host_name=row["host_name"],
    )
    said = words(row["kind"], row["payload"], event)
    return {
        "id": str(row["id"]),
        "kind": row["kind"],
        "title": said.title,
        "body": said.body,
        "event": {
            "id": row["event_id"],
            "title": row["title"],
            "venue": row["venue"],
            "starts_at": rfc3339(row["starts_at"]),
        },
        "facts": row["payload"],
        "created_at": rfc3339(row["created_at"]),
        "read_at": rfc3339_or_none(row["read_at"]),
    }
