"""Requests over HTTP: what a booking asks for, and the status document of a job."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from marshmallow import fields, validate

from api.fields import about
from api.parsing import QueryInteger, StrictBoolean, StrictInteger, StrictSchema
from api.schemas.request_documents import JOIN_LINK, QUEUED, WAITLIST_LINK
from shared.clock import rfc3339, rfc3339_or_none
from shared.domain.outcomes import REASONS, WAITLISTED
from shared.domain.requests import LIMITED_KINDS
from shared.line.accept import Accepted
from shared.services.event_snapshots import EventSnapshot
from shared.services.requests import RequestStatus
from shared.store.line_state import Pause

TICKETS_MAX: Final = 10
WAIT_SECONDS_MAX: Final = 30
RETRY_AFTER_MAX: Final = 30
STREAM_TOKEN_LENGTH_MAX: Final = 200  # ours have 41 characters

_ACCEPTED_MEMBERS: Final = (
    "job_id",
    "status",
    "event_id",
    "tickets",
    "arrival",
    "position",
    "eta_seconds",
    "paused",
    "accepted_at",
    "links",
)


# Refusals that the waitlist is an answer to.
_FOR_LACK_OF_TICKETS: Final = frozenset({"sold_out", "not_enough_left"})


class BookSchema(StrictSchema):
    """Body of a booking at an address that names the event."""

    tickets = StrictInteger(
        minimum=1, maximum=TICKETS_MAX, load_default=1, metadata=about("How many; all of them or none.", 2)
    )
    waitlist = StrictBoolean(
        load_default=False,
        metadata=about(
            "Whether to wait for tickets, rather than be refused, when too few are left.", example=True
        ),
    )


class BookEventSchema(BookSchema):
    """Body of a booking that names the event itself."""

    event_id = StrictInteger(minimum=1, required=True, metadata=about("The event's id.", 7))


class EmptySchema(StrictSchema):
    """No fields."""


class WaitSchema(StrictSchema):
    """Query of a status poll."""

    wait = QueryInteger(
        minimum=0,
        maximum=WAIT_SECONDS_MAX,
        load_default=0,
        metadata=about("Seconds to wait for the decision."),
    )


class StreamSchema(StrictSchema):
    """Query of a stream."""

    token = fields.String(
        validate=validate.Length(max=STREAM_TOKEN_LENGTH_MAX),
        metadata=about("The token in `links.stream`, for browsers' EventSource, which sends no bearer."),
    )


class RequestListSchema(StrictSchema):
    """Query of one's own requests: newest first, by cursor."""

    limit = QueryInteger(minimum=1, maximum=100, load_default=20, metadata=about("Items a page."))
    cursor = fields.UUID(metadata=about("`next_cursor` of the page before."))


def links(job_id: str, *, stream_token: str | None, kind: str, outcome: str = QUEUED) -> dict[str, str]:
    """Where to follow the request, where to leave the line, and where to see the place that it made."""
    status = f"/api/bookings/status/{job_id}"
    found = {"status": status}
    if stream_token is not None:
        found["stream"] = f"{status}/stream?token={stream_token}"
    if outcome == QUEUED and kind in LIMITED_KINDS:
        found["withdraw"] = status
    if outcome == WAITLISTED:
        found["waitlist"] = WAITLIST_LINK
    return found


def way_to_wait(code: str | None, event: EventSnapshot | None) -> dict[str, str]:
    """The link to the waitlist, for whoever was refused for lack of tickets, where the event has one."""
    has_one = event is not None and event.waitlist_enabled
    return {"waitlist": JOIN_LINK} if has_one and code in _FOR_LACK_OF_TICKETS else {}


def eta_seconds(ahead: int | None, rate: float | None, pause: Pause | None, now: datetime) -> float | None:
    """Everything before it in its partition ÷ the measured rate; None before the first measurement, and in a
    pause whose end nobody knows.
    """
    if ahead is None or not rate:
        return None
    wait_seconds = ahead / rate
    if pause is not None:
        if pause.resume_at is None:
            return None
        wait_seconds += max(0.0, (pause.resume_at - now).total_seconds())
    return round(wait_seconds, 3)


def retry_after(eta: float | None) -> str:
    """Whole seconds after which asking again makes sense."""
    return str(min(RETRY_AFTER_MAX, max(1, math.ceil(eta or 0))))


def pause_document(pause: Pause | None) -> dict[str, Any] | None:
    """Why the line is paused, since when and until when."""
    if pause is None:
        return None
    return {
        "reason": pause.reason,
        "since": rfc3339_or_none(pause.paused_at),
        "resume_at": rfc3339_or_none(pause.resume_at),
    }


def accepted_document(
    accepted: Accepted,
    *,
    kind: str,
    event_id: int,
    tickets: int | None,
    eta: float | None,
    pause: Pause | None,
    stream_token: str,
) -> dict[str, Any]:
    """The body of a 202."""
    job_id = str(accepted.job_id)
    return {
        "job_id": job_id,
        "status": QUEUED,
        "event_id": event_id,
        "tickets": tickets,
        "arrival": accepted.arrival,
        "position": accepted.position,
        "eta_seconds": eta,
        "paused": pause_document(pause),
        "accepted_at": accepted.accepted_at,
        "links": links(job_id, stream_token=stream_token, kind=kind),
    }


def undecided_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a 202 out of an undecided status document: whoever waited in vain gets what the others get."""
    return {name: document[name] for name in _ACCEPTED_MEMBERS}


def status_document(
    status: RequestStatus,
    *,
    event: EventSnapshot | None,
    pause: Pause | None,
    now: datetime,
    stream_token: str | None,
) -> dict[str, Any]:
    """The status document of a job, the same from the line and from the ledger."""
    result = status.result or {}
    outcome, reason = result.get("outcome", QUEUED), result.get("reason")
    return {
        "job_id": str(status.job_id),
        "kind": status.kind,
        "status": outcome,
        "event_id": status.event_id,
        "tickets": status.tickets,
        "arrival": status.arrival,
        "position": status.position,
        "eta_seconds": None if status.is_decided else eta_seconds(status.ahead, status.rate, pause, now),
        "paused": None if status.is_decided else pause_document(pause),
        "reason": reason,
        "detail": REASONS.get(reason) if reason else None,
        "facts": result.get("facts", {}),
        "booking": _booking_document(status, event),
        "decision_number": result.get("number"),
        "available_slots": result.get("available_after"),
        "accepted_at": status.accepted_at,
        "decided_at": result.get("decided_at"),
        "links": {
            **links(str(status.job_id), stream_token=stream_token, kind=status.kind, outcome=outcome),
            **way_to_wait(reason, event),
        },
    }


def _booking_document(status: RequestStatus, event: EventSnapshot | None) -> dict[str, Any] | None:
    booking = (status.result or {}).get("booking")
    if booking is None or status.result is None or status.result["outcome"] not in ("confirmed", "cancelled"):
        return None
    about: dict[str, Any] = {"id": status.event_id, "title": None, "venue": None, "starts_at": None}
    if event is not None:
        about.update(title=event.title, venue=event.venue, starts_at=rfc3339(event.starts_at))
    return {**booking, "event": about}
