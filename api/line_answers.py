"""What the routes into the line answer with, said once: `@describe` of each of them takes it from here."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from api.contract import Answer
from api.openapi.examples import example_of
from api.schemas.request_documents import (
    QUEUED,
    WAITLIST_LINK,
    AcceptedDocument,
    RequestLinksDocument,
    RequestStatusDocument,
)
from shared.domain.outcomes import CANCELLED, DONE, REASONS, WAITLISTED, WITHDRAWN
from shared.domain.requests import ACCEPT_OFFER, CANCEL, DECLINE_OFFER, JOIN_WAITLIST, LEAVE_WAITLIST

LINE_REQUEST_HEADERS: Final = ("Prefer", "Idempotency-Key")
_ANSWER_HEADERS: Final = ("Cache-Control", "Preference-Applied", "Idempotency-Replayed")

# What keeps the line itself from taking a request.
_LINE_AWAY: Final = ("line_unavailable", "accept_unknown")

# Whatever asks for tickets: at the door those that cost no place, the others only as a decision.
_TICKET_PROBLEMS: Final = (
    "event_not_found",
    "event_cancelled",
    "sales_paused",
    "sales_not_open",
    "sales_closed",
    "too_many_tickets",
    "account_closed",
    "event_started",
    "already_booked",
    "already_waiting",
    "request_failed",
    "too_many_undecided",
    "line_full",
    *_LINE_AWAY,
)

BOOKING_PROBLEMS: Final = ("sold_out", "not_enough_left", *_TICKET_PROBLEMS)

JOIN_PROBLEMS: Final = ("waitlist_disabled", "tickets_available", *_TICKET_PROBLEMS)

LEAVE_PROBLEMS: Final = ("event_not_found", "not_waiting", "request_failed", *_LINE_AWAY)

# An offer that the caller cannot see, or that has ended already, is refused at once.
DECLINE_PROBLEMS: Final = ("offer_not_found", "offer_ended", "request_failed", *_LINE_AWAY)

ACCEPT_PROBLEMS: Final = (
    "offer_expired",
    "event_not_found",
    "event_cancelled",
    "event_started",
    "account_closed",
    *DECLINE_PROBLEMS,
)

# A cancellation is refused by a decision, but for a booking that the caller cannot see, or that is known to be
# cancelled already.
CANCELLATION_PROBLEMS: Final = (
    "booking_not_found",
    "already_cancelled",
    "cancellation_closed",
    "request_failed",
    *_LINE_AWAY,
)

_ENTRY_ID: Final = "01990f5e-8c11-7d2a-a0c4-7be1d20f9a53"
_OFFER_FACTS: Final = {"entry_id": _ENTRY_ID, "offer_id": "01990f61-0a3f-7b77-9c55-1e8d4a6b2f10"}


def _example(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON values
    return {**example_of(RequestStatusDocument()), **changes}


# Still in the line.
UNDECIDED_EXAMPLE: Final = {
    **example_of(RequestStatusDocument()),
    **dict.fromkeys(("booking", "decision_number", "available_slots", "decided_at")),
    "status": QUEUED,
    "position": 12,
    "eta_seconds": 0.012,
    "links": example_of(RequestLinksDocument()),
}


def _cancelled_example() -> dict[str, Any]:
    example = _example(kind=CANCEL, status=CANCELLED, facts={"acting_as": "owner"})
    cancelled = {"status": CANCELLED, "cancelled_at": example["decided_at"]}
    return {**example, "booking": {**example["booking"], **cancelled}}


def _waitlisted_example() -> dict[str, Any]:
    example = _example(kind=JOIN_WAITLIST, status=WAITLISTED, facts={"entry_id": _ENTRY_ID}, booking=None)
    links = {**example["links"], "waitlist": WAITLIST_LINK}
    return {**example, "links": links, "available_slots": 0}


def _done_example(kind: str, **facts: str) -> dict[str, Any]:
    return _example(kind=kind, status=DONE, facts=facts, booking=None, tickets=None)


_ACCEPTED: Final = Answer(
    "In the line, and not decided in the time that `Prefer: wait` gave. Ask `Location` after `Retry-After`.",
    AcceptedDocument,
    headers=("Location", "Retry-After", *_ANSWER_HEADERS),
)

# Its body is the problem's; a refusal at the door has no `job`.
_REFUSED: Final = Answer(
    "Refused at the door, or decided while the client waited: rejected or failed. `code` is the reason, and `job`"
    " the status document of what was decided.",
    headers=_ANSWER_HEADERS,
)

# A request for tickets that was decided otherwise than it wanted to be.
_WITHDRAWN: Final = _example(
    status=WITHDRAWN, reason="withdrawn_by_user", detail=REASONS["withdrawn_by_user"], booking=None
)

_CONFIRMED: Final = Answer(
    "Decided while the client waited: confirmed. `Location` is the booking.",
    RequestStatusDocument,
    headers=("Location", *_ANSWER_HEADERS),
)

BOOKING_ANSWERS: Final[Mapping[int, Answer]] = {
    200: Answer(
        "Decided while the client waited: waitlisted (with `waitlist: true`), or withdrawn.",
        RequestStatusDocument,
        headers=_ANSWER_HEADERS,
        example=_WITHDRAWN,
    ),
    201: _CONFIRMED,
    202: _ACCEPTED,
    409: _REFUSED,
}

CANCELLATION_ANSWERS: Final[Mapping[int, Answer]] = {
    200: Answer(
        "Decided while the client waited: cancelled.",
        RequestStatusDocument,
        headers=_ANSWER_HEADERS,
        example=_cancelled_example(),
    ),
    202: _ACCEPTED,
    409: _REFUSED,
}

JOIN_ANSWERS: Final[Mapping[int, Answer]] = {
    200: Answer(
        "Decided while the client waited: waitlisted, or withdrawn.",
        RequestStatusDocument,
        headers=_ANSWER_HEADERS,
        example=_waitlisted_example(),
    ),
    202: _ACCEPTED,
    409: _REFUSED,
}

LEAVE_ANSWERS: Final[Mapping[int, Answer]] = {
    200: Answer(
        "Decided while the client waited: done.",
        RequestStatusDocument,
        headers=_ANSWER_HEADERS,
        example=_done_example(LEAVE_WAITLIST, acting_as="owner", entry_id=_ENTRY_ID),
    ),
    202: _ACCEPTED,
    409: _REFUSED,
}

ACCEPT_ANSWERS: Final[Mapping[int, Answer]] = {
    201: replace(_CONFIRMED, example=_example(kind=ACCEPT_OFFER, facts=_OFFER_FACTS)),
    202: _ACCEPTED,
    409: _REFUSED,
}

DECLINE_ANSWERS: Final[Mapping[int, Answer]] = {
    **LEAVE_ANSWERS,
    200: replace(LEAVE_ANSWERS[200], example=_done_example(DECLINE_OFFER, **_OFFER_FACTS)),
}
