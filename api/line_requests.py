"""From a route into the line: the one way that every request of a client takes."""

import hashlib
import uuid
from functools import partial
from typing import Any, Final

from api.access_tokens import Identity
from api.container import Container
from api.exchange import Exchange
from api.idempotency import REPLAYED, fingerprint_of, idempotency_key
from api.line_responses import accept_unknown, accepted_reply, await_reply, decision_reply, refusal
from api.prefer import preferred_wait
from api.problem_replies import refusal_reply
from api.replies import Reply
from api.responses import NO_STORE
from shared.domain.permissions import ActingAs
from shared.domain.requests import BOOK, CANCEL, RequestKind
from shared.errors import GuichetError, UnavailableError
from shared.line.accept import Accepted, NewRequest, Refused
from shared.line.doors import OPEN_DOOR, Door
from shared.services.event_snapshots import EventSnapshot

UNKNOWN_EVENT: Final = Door(verdict="event_not_found")


def submit_booking(
    container: Container,
    exchange: Exchange,
    identity: Identity,
    *,
    event_id: int,
    tickets: int,
    waitlist: bool = False,
    default_wait: int = 0,
) -> Reply:
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
        exchange, identity, kind=BOOK, event_id=event_id, payload=payload, tickets=tickets, waitlist=waitlist
    )
    return submit(container, exchange, request, door, snapshot, default_wait)


def submit_cancellation(
    container: Container,
    exchange: Exchange,
    identity: Identity,
    *,
    event_id: int,
    booking_id: uuid.UUID,
    acting_as: ActingAs,
    default_wait: int,
) -> Reply:
    """A `cancel` request, which no door keeps out."""
    request = new_request(
        exchange,
        identity,
        kind=CANCEL,
        event_id=event_id,
        payload={"booking_id": str(booking_id)},
        booking_id=booking_id,
        acting_as=acting_as,
    )
    snapshot = container.snapshots.find(event_id)
    door = OPEN_DOOR if snapshot is None else snapshot.open_door()
    return submit(container, exchange, request, door, snapshot, default_wait)


def new_request(
    exchange: Exchange,
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
    key = idempotency_key(exchange.environ)
    return NewRequest(
        job_id=exchange.take_id(),
        kind=kind,
        event_id=event_id,
        user_id=identity.user_id,
        subjects=identity.subjects,
        tickets=tickets,
        booking_id=booking_id,
        offer_id=offer_id,
        waitlist=waitlist,
        acting_as=acting_as,
        request_id=exchange.request_id,
        key_hash="" if key is None else hashlib.sha256(key.encode()).hexdigest(),
        fingerprint="" if key is None else fingerprint_of(kind, payload).hex(),
    )


def submit(
    container: Container,
    exchange: Exchange,
    request: NewRequest,
    door: Door,
    snapshot: EventSnapshot | None,
    default_wait: int,
) -> Reply:
    """One script, then the 202, the decision of an earlier request with the same key, the one that was waited for, or
    what the door or the line's limits refuse. Raises UnavailableError.
    """
    wait_seconds, preferred = preferred_wait(exchange.environ, default_wait)
    try:
        answer = container.line.accept(request, door)
    except UnavailableError as error:
        if error.code == "accept_unknown":
            exchange.job_id = request.job_id  # for the access log, here and below
            raise accept_unknown(request.job_id) from error
        raise
    if isinstance(answer, Refused):
        # What PostgreSQL had to be asked for in vain is not the line's alone, nor is a token that was revoked.
        exchange.judged = snapshot is not None and answer.code != "unauthenticated"
        refused = refusal(container, exchange, answer, snapshot)
        return refusal_reply(exchange, refused, base_url=container.settings.base_url)
    exchange.job_id = answer.job_id
    headers = dict(NO_STORE)
    replayed = not isinstance(answer, Accepted) and answer.job_id != request.job_id
    if replayed:
        headers |= REPLAYED
    if preferred and wait_seconds:
        headers["Preference-Applied"] = f"wait={wait_seconds}"
    if isinstance(answer, Accepted) and not wait_seconds:
        return accepted_reply(container, request, answer, headers)
    make = partial(decision_reply, container, exchange, headers=headers)
    try:
        return await_reply(container, exchange, answer.job_id, None, seconds=wait_seconds, make=make)
    except GuichetError as error:
        # It stands in the line: whatever keeps us from following it, the answer must not say otherwise.
        if isinstance(answer, Accepted):
            return accepted_reply(container, request, answer, headers)
        raise accept_unknown(answer.job_id) from error
