"""The waitlist's requests into the line: joining, leaving, and answering an offer."""

from typing import Any, Final

from api.access_tokens import Identity
from api.auth import require_actor
from api.container import Container
from api.exchange import Exchange
from api.line_requests import UNKNOWN_EVENT, new_request, submit
from api.replies import Reply
from shared.db import transaction
from shared.domain.requests import JOIN_WAITLIST, LEAVE_WAITLIST, RequestKind
from shared.errors import RefusedError
from shared.services.waitlist import may_have_place

WAIT_DEFAULT_SECONDS: Final = 5


def submit_join(
    container: Container, exchange: Exchange, identity: Identity, *, event_id: int, tickets: int
) -> Reply:
    """A `join_waitlist` request: refused at the door for what no turn in the line could change."""
    container.gate.installation()  # a closed gate says why
    snapshot = container.snapshots.find(event_id)
    request = new_request(
        exchange,
        identity,
        kind=JOIN_WAITLIST,
        event_id=event_id,
        payload={"event_id": event_id, "tickets": tickets},
        tickets=tickets,
    )
    door = UNKNOWN_EVENT if snapshot is None else snapshot.waitlist_door(tickets=tickets)
    return submit(container, exchange, request, door, snapshot, WAIT_DEFAULT_SECONDS)


def submit_leave(container: Container, exchange: Exchange, identity: Identity, *, event_id: int) -> Reply:
    """A `leave_waitlist` request, kept out where there is no event to be seen, or surely nothing to leave: a request to
    join may stand before it, so what is in doubt is known when its turn comes.
    """
    snapshot = container.snapshots.find(event_id)
    request = new_request(
        exchange, identity, kind=LEAVE_WAITLIST, event_id=event_id, payload={"event_id": event_id}
    )
    door = UNKNOWN_EVENT if snapshot is None else snapshot.leave_door()
    knows_answer = request.key_hash != ""  # or may: a repeated request is answered as it was
    if (
        not door.verdict
        and not knows_answer
        and not may_have_place(container.engine, container.line, event_id=event_id, user_id=identity.user_id)
    ):
        with transaction(container.engine) as session:
            require_actor(session)  # the line, which knows what is revoked, was not asked
        raise RefusedError("not_waiting")
    return submit(container, exchange, request, door, snapshot, WAIT_DEFAULT_SECONDS)


def submit_offer_answer(
    container: Container, exchange: Exchange, identity: Identity, *, kind: RequestKind, offer: dict[str, Any]
) -> Reply:
    """An `accept_offer` or `decline_offer` request, which no door keeps out: the tickets are held."""
    event_id = offer["event_id"]
    snapshot = container.snapshots.find(event_id)
    request = new_request(
        exchange,
        identity,
        kind=kind,
        event_id=event_id,
        payload={"offer_id": offer["id"]},
        offer_id=offer["id"],
    )
    door = UNKNOWN_EVENT if snapshot is None else snapshot.open_door()
    return submit(container, exchange, request, door, snapshot, WAIT_DEFAULT_SECONDS)
