"""What problem documents carry beside the standard members: the facts behind a refusal, by code."""

from dataclasses import dataclass
from typing import Any, Final

from api.parsing import ERRORS_MAX


@dataclass(frozen=True, slots=True)
class Member:
    """One fact. `always` is False for a fact that not every document of the code has."""

    description: str
    schema: dict[str, Any]
    example: Any
    always: bool = False


_INSTANT: Final[dict[str, Any]] = {"type": "string", "format": "date-time"}
_UUID: Final[dict[str, Any]] = {"type": "string", "format": "uuid"}
_COUNT: Final[dict[str, Any]] = {"type": "integer", "minimum": 0}
_JOB_ID: Final = "01a1fa38-2c56-79d1-a69f-e87985a90e56"
_BOOKING_ID: Final = "01a1fa38-2c56-79d1-a961-2abfc2fe2f55"
_ENTRY_ID: Final = "01a1fa38-2c56-79d1-b3a0-1c55d0a7f3e9"
_OFFER_ID: Final = "01a1fa38-2c56-79d1-8f07-6a2e4d90b1c4"
_STATUS_PATH: Final = f"/api/bookings/status/{_JOB_ID}"

_BOOKED: Final = Member("Tickets that are booked now.", _COUNT, 37, always=True)
_OFFERED: Final = Member("Tickets in open offers to who waits.", _COUNT, 2, always=True)
_WAITING: Final = Member("Entries on the waitlist.", _COUNT, 5, always=True)
_OFFER: Final = Member("The offer that the request named.", _UUID, _OFFER_ID)
_RETRY: Final = Member("The same as Retry-After.", _COUNT, 2)
_OPENS: Final = Member("When sales open.", _INSTANT, "2030-05-01T08:00:00.000000Z")
_CLOSED: Final = Member("When sales closed.", _INSTANT, "2030-06-01T18:00:00.000000Z")
_BOOKING: Final = Member("The booking as it stands.", {"type": "object"}, {"id": _BOOKING_ID})
_LINKS: Final = Member(
    "Where to ask for the decision.",
    {"type": "object", "additionalProperties": {"type": "string"}},
    {"status": _STATUS_PATH},
    always=True,
)

_WAITLIST: Final = Member(
    "`waitlist`, where the event has one. POST: wait for tickets.",
    {"type": "object", "additionalProperties": {"type": "string"}},
    {"waitlist": "/api/waitlist/join"},
)

# Of every refusal that is told as a decision.
JOB: Final = Member(
    "The status document of the decided request.",
    {"type": "object"},
    {"job_id": _JOB_ID, "status": "rejected"},
)

MEMBERS: Final[dict[str, dict[str, Member]]] = {
    "validation_failed": {
        "errors": Member(
            "What is wrong where: a JSON pointer into the body, or `?name` for a query parameter; the first hundred.",
            {
                "type": "array",
                "minItems": 1,
                "maxItems": ERRORS_MAX,
                "items": {
                    "type": "object",
                    "required": ["pointer", "detail"],
                    "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
                },
            },
            [
                {
                    "pointer": "#/tickets",
                    "detail": "Must be greater than or equal to 1 and less than or equal to 10.",
                }
            ],
            always=True,
        )
    },
    "sales_not_open": {"opens_at": _OPENS},
    "sales_closed": {"closed_at": _CLOSED},
    "too_many_tickets": {"max_per_booking": Member("The most that one booking may have.", _COUNT, 4)},
    "sold_out": {"links": _WAITLIST},
    "not_enough_left": {"available": Member("Tickets that are left.", _COUNT, 1), "links": _WAITLIST},
    "event_started": {"starts_at": Member("When it started.", _INSTANT, "2030-06-01T18:00:00.000000Z")},
    "already_booked": {"booking_id": Member("The booking that you have.", _UUID, _BOOKING_ID)},
    "already_waiting": {"entry_id": Member("Your entry.", _UUID, _ENTRY_ID, always=True)},
    "offer_ended": {
        "offer_id": _OFFER,
        "offer_status": Member("accepted, declined or expired.", {"type": "string"}, "declined"),
    },
    "offer_expired": {
        "offer_id": _OFFER,
        "expired_at": Member("When.", _INSTANT, "2030-05-01T09:00:00.000000Z"),
    },
    "offer_not_due": {"offer_id": _OFFER},
    "offer_not_found": {"offer_id": _OFFER},
    "tickets_available": {"available": Member("Tickets that a booking could get.", _COUNT, 2)},
    "already_cancelled": {"booking": _BOOKING},
    "already_decided": {"job": JOB},
    "cancellation_closed": {
        "closes_at": Member("Until when it could be cancelled.", _INSTANT, "2030-05-31T18:00:00.000000Z")
    },
    "capacity_below_committed": {"booked": _BOOKED, "offered": _OFFERED},
    "event_has_bookings": {"booked": _BOOKED, "offered": _OFFERED, "waiting": _WAITING},
    "organization_has_events": {
        "events": Member("Events that it has, those that are over too.", _COUNT, 3, always=True)
    },
    "too_many_organizations": {
        "organizations_max": Member("How many one user may belong to.", _COUNT, 100, always=True)
    },
    "precondition_failed": {"version": Member("The event's version now.", _COUNT, 4)},
    "rate_limited": {
        "retry_after_seconds": _RETRY,
        "policy": Member(
            "The limit that was reached, as RateLimit-Policy names it.", {"type": "string"}, "general"
        ),
    },
    "login_throttled": {"retry_after_seconds": _RETRY},
    "too_many_undecided": {
        "retry_after_seconds": _RETRY,
        "undecided_max": Member("How many undecided requests one user may have.", _COUNT, 20),
    },
    "line_full": {
        "retry_after_seconds": _RETRY,
        "scope": Member(
            "What is full: this event's line, or the whole partition's.",
            {"type": "string", "enum": ["event", "partition"]},
            "event",
        ),
    },
    "line_unavailable": {
        "parts": Member(
            "What is not as it must be, where that is known, as `/readyz` names it.",
            {"type": "array", "items": {"type": "string"}},
            ["redis"],
        )
    },
    "accept_unknown": {
        "job_id": Member("The request, if it is there.", _UUID, _JOB_ID, always=True),
        "links": _LINKS,
    },
}
