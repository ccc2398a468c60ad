"""From a route into the line and back: the one way that every request of a client takes."""

import hashlib
import uuid
from typing import Any, Final

from flask import Response, g

from api.auth import Identity
from api.container import Container
from api.idempotency import REPLAYED, fingerprint_of, idempotency_key
from api.prefer import preferred_wait
from api.problems import problem
from api.responses import NO_STORE, json_response
from api.schemas.requests import (
    accepted_document,
    eta_seconds,
    retry_after,
    status_document,
    undecided_document,
    way_to_wait,
)
from api.stream_tokens import make_stream_token
from shared.clock import rfc3339, utc_now
from shared.domain.outcomes import CONFIRMED, FAILED, REJECTED
from shared.domain.permissions import ActingAs
from shared.domain.requests import BOOK, CANCEL, RequestKind
from shared.errors import GuichetError, NotFoundError, RefusedError, UnavailableError
from shared.ids import uuid7
from shared.line.accept import Accepted, NewRequest, Refused
from shared.line.doors import OPEN_DOOR, Door
from shared.services.event_snapshots import EventSnapshot
from shared.services.requests import RequestStatus, find_status

CONFLICT: Final = 409

UNKNOWN_EVENT: Final = Door(verdict="event_not_found")


def submit_booking(
    container: Container,
    identity: Identity,
    *,
    event_id: int,
    tickets: int,
    waitlist: bool = False,
    default_wait: int = 0,
) -> Response:
    """A `book` request: the door's verdict from the snapshot, one script, then the 202 or the decision."""
    container.gate.installation()  # a closed gate says why; an open one costs nothing
    snapshot = container.snapshots.find(event_id)
    if snapshot is None:
        door = UNKNOWN_EVENT
    else:
        door = snapshot.door(
            sold_out_door=container.settings.sold_out_door,
            tickets=tickets,
            waitlist=waitlist,
            user_id=identity.user_id,
        )
    payload = {"event_id": event_id, "tickets": tickets}
    if waitlist:  # absent otherwise: keys of before there were waitlists stay good
        payload["waitlist"] = True
    request = new_request(
        identity, kind=BOOK, event_id=event_id, payload=payload, tickets=tickets, waitlist=waitlist
    )
    return submit(container, request, door, snapshot, default_wait)


def submit_cancellation(
    container: Container,
    identity: Identity,
    *,
    event_id: int,
    booking_id: uuid.UUID,
    acting_as: ActingAs,
    default_wait: int,
) -> Response:
    """A `cancel` request, which no door keeps out."""
    request = new_request(
        identity,
        kind=CANCEL,
        event_id=event_id,
        payload={"booking_id": str(booking_id)},
        booking_id=booking_id,
        acting_as=acting_as,
    )
    snapshot = container.snapshots.find(event_id)
    door = OPEN_DOOR if snapshot is None else snapshot.open_door()
    return submit(container, request, door, snapshot, default_wait)


def read_document(container: Container, status: RequestStatus, *, stream_link: bool = True) -> dict[str, Any]:
    """The status document of a request as it is now. Without `stream_link` for who came by a stream token:
    it must not renew itself.
    """
    return status_document(
        status,
        event=_find_event(container, status.event_id),
        pause=container.snapshots.pause,
        now=utc_now(),
        stream_token=make_stream_token(container.settings.secret_key, status.job_id) if stream_link else None,
    )


def get_status(container: Container, job_id: uuid.UUID, subjects: tuple[str, str] | None) -> RequestStatus:
    """The request's status; raises NotFoundError `job_not_found`."""
    status = find_status(container.engine, container.line, job_id, subjects)
    if status is None:
        raise NotFoundError("job_not_found")
    return status


def new_request(
    identity: Identity,
    *,
    kind: RequestKind,
    event_id: int,
    payload: dict[str, Any],
    tickets: int | None = None,
    booking_id: uuid.UUID | None = None,
    offer_id: uuid.UUID | None = None,
    waitlist: bool = False,
    acting_as: ActingAs = "owner",
) -> NewRequest:
    """A request as the accept script wants it; `payload` is what a repetition with the same key must be equal in."""
    key = idempotency_key()
    return NewRequest(
        job_id=uuid7(),
        kind=kind,
        event_id=event_id,
        user_id=identity.user_id,
        subjects=identity.subjects,
        tickets=tickets,
        booking_id=booking_id,
        offer_id=offer_id,
        waitlist=waitlist,
        acting_as=acting_as,
        request_id=g.request_id,
        key_hash="" if key is None else hashlib.sha256(key.encode()).hexdigest(),
        fingerprint="" if key is None else fingerprint_of(kind, payload).hex(),
    )


def submit(
    container: Container,
    request: NewRequest,
    door: Door,
    snapshot: EventSnapshot | None,
    default_wait: int,
) -> Response:
    """One script, then the 202, the decision of an earlier request with the same key, or the one that was waited for.

    Raises what the door or the line's limits refuse, and UnavailableError.
    """
    wait_seconds, preferred = preferred_wait(default_wait)
    try:
        answer = container.line.accept(request, door)
    except UnavailableError as error:
        if error.code == "accept_unknown":
            g.job_id = request.job_id  # for the access log, here and below
            raise _accept_unknown(request.job_id) from error
        raise
    if isinstance(answer, Refused):
        # What PostgreSQL had to be asked for in vain is not the line's alone, nor is a token that was revoked.
        g.judged = snapshot is not None and answer.code != "unauthenticated"
        raise _refusal(answer, snapshot, container)
    g.job_id = answer.job_id
    headers = dict(NO_STORE)
    replayed = not isinstance(answer, Accepted) and answer.job_id != request.job_id
    if replayed:
        headers |= REPLAYED
    if preferred and wait_seconds:
        headers["Preference-Applied"] = f"wait={wait_seconds}"
    if isinstance(answer, Accepted) and not wait_seconds:
        return _accepted(container, request, answer, headers)
    try:
        status = container.hub.wait(
            answer.job_id,
            wait_seconds,
            lambda: get_status(container, answer.job_id, None),
            lambda status: status.is_decided,
        )
    except GuichetError as error:
        # It stands in the line: whatever keeps us from following it, the answer must not say otherwise.
        if isinstance(answer, Accepted):
            return _accepted(container, request, answer, headers)
        raise _accept_unknown(answer.job_id) from error
    if status.is_decided:
        container.stamps.event_decided(status.event_id)
    return decision_response(container, status, headers)


def _accept_unknown(job_id: uuid.UUID) -> UnavailableError:
    links = {"status": f"/api/bookings/status/{job_id}"}
    return UnavailableError("accept_unknown", job_id=str(job_id), links=links)


def _accepted(
    container: Container, request: NewRequest, accepted: Accepted, headers: dict[str, str]
) -> Response:
    pause = container.snapshots.pause
    eta = eta_seconds(accepted.ahead, accepted.rate, pause, utc_now())
    document = accepted_document(
        accepted,
        kind=request.kind,
        event_id=request.event_id,
        tickets=request.tickets,
        eta=eta,
        pause=pause,
        stream_token=make_stream_token(container.settings.secret_key, accepted.job_id),
    )
    headers["Location"] = document["links"]["status"]
    headers["Retry-After"] = retry_after(eta)
    return json_response(document, status=202, headers=headers)


def decision_response(container: Container, status: RequestStatus, headers: dict[str, str]) -> Response:
    """The status document as the answer of who waited: 201, 200, a 409 problem, or 202 when still undecided."""
    document = read_document(container, status)
    outcome = document["status"]
    if not status.is_decided:
        headers["Location"] = document["links"]["status"]
        headers["Retry-After"] = retry_after(document["eta_seconds"])
        return json_response(undecided_document(document), status=202, headers=headers)
    if outcome in (REJECTED, FAILED):
        code = document["reason"]
        facts = {**document["facts"], **_links(way_to_wait(code, _find_event(container, status.event_id)))}
        return problem(code, document["detail"], status=CONFLICT, headers=headers, **facts, job=document)
    if outcome == CONFIRMED:
        headers["Location"] = f"/api/bookings/{document['booking']['id']}"
        return json_response(document, status=201, headers=headers)
    return json_response(document, headers=headers)


def _refusal(refused: Refused, snapshot: EventSnapshot | None, container: Container) -> GuichetError:
    facts: dict[str, Any] = {}
    if refused.retry_after_seconds is not None:
        facts["retry_after_seconds"] = refused.retry_after_seconds
        if refused.code == "rate_limited":
            facts["policy"] = container.limits.booking.name
            container.limits.booking_refused(refused.retry_after_seconds)
    if refused.scope is not None:
        facts["scope"] = refused.scope
    if refused.code == "too_many_undecided":
        facts["undecided_max"] = container.settings.user_undecided_max
    if snapshot is not None:
        if refused.code == "sales_not_open" and snapshot.sales_open_at is not None:
            facts["opens_at"] = rfc3339(snapshot.sales_open_at)
        elif refused.code == "sales_closed":
            facts["closed_at"] = rfc3339(snapshot.sales_close_at)
        elif refused.code == "too_many_tickets":
            facts["max_per_booking"] = snapshot.max_per_booking
        facts |= _links(way_to_wait(refused.code, snapshot))
    return RefusedError(refused.code, **facts)


def _links(found: dict[str, str]) -> dict[str, Any]:
    """A problem's member `links`, absent when it would be empty."""
    return {"links": found} if found else {}


def _find_event(container: Container, event_id: int) -> EventSnapshot | None:
    """The event's title and place, if they can be had: an outage must not hide a decision."""
    try:
        return container.snapshots.find(event_id)
    except UnavailableError:
        return None
