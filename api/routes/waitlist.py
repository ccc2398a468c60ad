"""One's own places on waitlists: joining, leaving and answering offers through the line; reading them."""

import uuid
from typing import Any, Final

from flask import Blueprint, Response, request

from api.auth import current_identity, require_actor
from api.container import get_container
from api.contract import Answer, describe
from api.exchange import current_exchange
from api.idempotency import idempotency_key
from api.line_answers import (
    ACCEPT_ANSWERS,
    ACCEPT_PROBLEMS,
    DECLINE_ANSWERS,
    DECLINE_PROBLEMS,
    JOIN_ANSWERS,
    JOIN_PROBLEMS,
    LEAVE_ANSWERS,
    LEAVE_PROBLEMS,
    LINE_REQUEST_HEADERS,
)
from api.paging import list_document, page_request
from api.parsing import load_body, load_query
from api.replies import as_response
from api.responses import NO_STORE, json_response
from api.schemas.requests import EmptySchema
from api.schemas.waitlist import (
    WAITLIST_SORTS,
    JoinSchema,
    MyEntryListDocument,
    WaitlistSchema,
    my_entry_document,
)
from api.waitlist_requests import submit_join, submit_leave, submit_offer_answer
from shared.db import transaction
from shared.domain.requests import ACCEPT_OFFER, DECLINE_OFFER, RequestKind
from shared.domain.waitlist import OPEN
from shared.errors import NotFoundError, RefusedError
from shared.store.waitlist import find_offer, list_entries_of_user

blueprint = Blueprint("waitlist", __name__)

_JOIN: Final = JoinSchema()
_EMPTY: Final = EmptySchema()
_LIST: Final = WaitlistSchema()

_TAG: Final = "Waitlist"
_EVENT_PATH: Final = {"event_id": "The event's id."}
_OFFER_PATH: Final = {"offer_id": "The offer's id."}


@blueprint.get("/waitlist")
@describe(
    tag=_TAG,
    auth="user",
    query=WaitlistSchema,
    answers={200: Answer("A page of entries.", MyEntryListDocument, headers=("Link", "Cache-Control"))},
)
def list_mine() -> Response:
    """Lists the caller's places on waitlists, with their offers, the newest first."""
    query = load_query(_LIST)
    asked = page_request(query, WAITLIST_SORTS, id_kind="uuid")
    with transaction(get_container().engine) as session:
        actor = require_actor(session)
        page, places = list_entries_of_user(
            session, user_id=actor.user_id, status=query.get("status"), page=asked
        )
    items = [my_entry_document(row, places.get(row["id"])) for row in page.rows]
    document, headers = list_document(items, page, asked)
    return json_response(document, headers={**headers, **NO_STORE})


@blueprint.post("/waitlist/join")
@describe(
    tag=_TAG,
    auth="user",
    body=JoinSchema,
    answers=JOIN_ANSWERS,
    problems=JOIN_PROBLEMS,
    request_headers=LINE_REQUEST_HEADERS,
)
def join_waitlist() -> Response:
    """Waits for tickets of an event that has too few left; and five seconds for the decision, unless the client
    prefers otherwise.
    """
    identity = current_identity()
    body = load_body(_JOIN)
    return as_response(submit_join(get_container(), current_exchange(), identity, **body))


@blueprint.delete("/waitlist/<int:event_id>")
@describe(
    tag=_TAG,
    auth="user",
    path=_EVENT_PATH,
    body=EmptySchema,
    body_optional=True,
    answers=LEAVE_ANSWERS,
    problems=LEAVE_PROBLEMS,
    request_headers=LINE_REQUEST_HEADERS,
)
def leave_waitlist(event_id: int) -> Response:
    """Gives up the caller's place, and the open offer if there is one; waits like joining."""
    identity = current_identity()
    load_body(_EMPTY)
    return as_response(submit_leave(get_container(), current_exchange(), identity, event_id=event_id))


@blueprint.post("/waitlist/offers/<uuid:offer_id>/accept")
@describe(
    tag=_TAG,
    auth="user",
    path=_OFFER_PATH,
    body=EmptySchema,
    body_optional=True,
    answers=ACCEPT_ANSWERS,
    problems=ACCEPT_PROBLEMS,
    request_headers=LINE_REQUEST_HEADERS,
)
def accept_offer(offer_id: uuid.UUID) -> Response:
    """Books the tickets that an offer holds, in time; waits like joining."""
    return _answer_offer(ACCEPT_OFFER, offer_id)


@blueprint.post("/waitlist/offers/<uuid:offer_id>/decline")
@describe(
    tag=_TAG,
    auth="user",
    path=_OFFER_PATH,
    body=EmptySchema,
    body_optional=True,
    answers=DECLINE_ANSWERS,
    problems=DECLINE_PROBLEMS,
    request_headers=LINE_REQUEST_HEADERS,
)
def decline_offer(offer_id: uuid.UUID) -> Response:
    """Gives back the tickets that an offer holds, to who waits next; waits like joining."""
    return _answer_offer(DECLINE_OFFER, offer_id)


def _answer_offer(kind: RequestKind, offer_id: uuid.UUID) -> Response:
    """Refused at once only when the offer has ended already and there is no key that an answer may be known for."""
    identity = current_identity()
    load_body(_EMPTY)
    container = get_container()
    with transaction(container.engine) as session:
        actor = require_actor(session)
        offer: dict[str, Any] | None = find_offer(session, offer_id)
    if offer is None or offer["user_id"] != actor.user_id:
        raise NotFoundError("offer_not_found")
    if offer["status"] != OPEN and idempotency_key(request.environ) is None:
        raise RefusedError("offer_ended", offer_id=str(offer_id), offer_status=offer["status"])
    return as_response(submit_offer_answer(container, current_exchange(), identity, kind=kind, offer=offer))
