"""What the routes into the line answer with, said once: `@describe` of each of them takes it from here."""

from collections.abc import Mapping
from typing import Any, Final

from api.contract import Answer
from api.openapi.examples import example_of
from api.schemas.request_documents import (
    QUEUED,
    AcceptedDocument,
    RequestLinksDocument,
    RequestStatusDocument,
)
from shared.domain.outcomes import CANCELLED, REASONS, WITHDRAWN
from shared.domain.requests import CANCEL

LINE_REQUEST_HEADERS: Final = ("Prefer", "Idempotency-Key")
_ANSWER_HEADERS: Final = ("Cache-Control", "Preference-Applied", "Idempotency-Replayed")

# What keeps the line itself from taking a request.
_LINE_AWAY: Final = ("line_unavailable", "accept_unknown")

# Refusals of a booking: at the door those that cost no place, the others only as a decision.
BOOKING_PROBLEMS: Final = (
    "event_not_found",
    "event_cancelled",
    "sales_paused",
    "sales_not_open",
    "sales_closed",
    "too_many_tickets",
    "sold_out",
    "account_closed",
    "event_started",
    "already_booked",
    "not_enough_left",
    "request_failed",
    "too_many_undecided",
    "line_full",
    *_LINE_AWAY,
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

BOOKING_ANSWERS: Final[Mapping[int, Answer]] = {
    200: Answer(
        "Decided while the client waited: withdrawn.",
        RequestStatusDocument,
        headers=_ANSWER_HEADERS,
        example=_example(
            status=WITHDRAWN, reason="withdrawn_by_user", detail=REASONS["withdrawn_by_user"], booking=None
        ),
    ),
    201: Answer(
        "Decided while the client waited: confirmed. `Location` is the booking.",
        RequestStatusDocument,
        headers=("Location", *_ANSWER_HEADERS),
    ),
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
