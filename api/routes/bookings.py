"""Booking and cancelling, through the line; reading bookings, from the database."""

import uuid
from typing import Any, Final

from flask import Blueprint, Response, g, request

from api.auth import current_identity, require_actor
from api.container import get_container
from api.contract import Answer, describe
from api.event_access import get_readable_event
from api.exchange import current_exchange
from api.idempotency import idempotency_key
from api.line_answers import (
    BOOKING_ANSWERS,
    BOOKING_PROBLEMS,
    CANCELLATION_ANSWERS,
    CANCELLATION_PROBLEMS,
    LINE_REQUEST_HEADERS,
)
from api.line_requests import submit_booking, submit_cancellation
from api.paging import list_document, page_request
from api.parsing import load_body, load_query
from api.replies import as_response
from api.responses import NO_STORE, json_response
from api.schemas.bookings import (
    BOOKING_SORTS,
    BookingDocument,
    BookingListDocument,
    BookingListSchema,
    booking_document,
)
from api.schemas.requests import BookEventSchema, BookSchema, EmptySchema
from shared.db import Session, transaction
from shared.domain.permissions import Actor, acting_as_for_booking, may_manage_event
from shared.errors import NotFoundError, RefusedError
from shared.services import audit_log
from shared.store.bookings import find_booking, find_booking_by_reference, list_bookings
from shared.store.event_bookings import find_last_booking

blueprint = Blueprint("bookings", __name__)

WAIT_DEFAULT_SECONDS: Final = 5

BOOK: Final = BookSchema()
BOOK_EVENT: Final = BookEventSchema()
_EMPTY: Final = EmptySchema()
_LIST: Final = BookingListSchema()

_TAG: Final = "Bookings"
_EVENT_PATH: Final = {"event_id": "The event's id."}
_BOOKING_PATH: Final = {"booking_id": "The booking's id."}


@blueprint.post("/bookings/<int:event_id>/book")
@describe(
    tag=_TAG,
    auth="user",
    path=_EVENT_PATH,
    body=BookSchema,
    body_optional=True,
    answers=BOOKING_ANSWERS,
    problems=BOOKING_PROBLEMS,
    request_headers=LINE_REQUEST_HEADERS,
)
def book(event_id: int) -> Response:
    """Stands in line for tickets of the event in the address."""
    identity = current_identity()
    body = load_body(BOOK)
    return as_response(
        submit_booking(get_container(), current_exchange(), identity, event_id=event_id, **body)
    )


@blueprint.post("/bookings")
@describe(
    tag=_TAG,
    auth="user",
    body=BookEventSchema,
    answers=BOOKING_ANSWERS,
    problems=BOOKING_PROBLEMS,
    request_headers=LINE_REQUEST_HEADERS,
)
def book_event() -> Response:
    """Stands in line for tickets of the event in the body."""
    identity = current_identity()
    body = load_body(BOOK_EVENT)
    return as_response(submit_booking(get_container(), current_exchange(), identity, **body))


@blueprint.post("/events/<int:event_id>/register")
@describe(
    tag=_TAG,
    auth="user",
    path=_EVENT_PATH,
    body=BookSchema,
    body_optional=True,
    answers=BOOKING_ANSWERS,
    problems=BOOKING_PROBLEMS,
    request_headers=LINE_REQUEST_HEADERS,
)
def register(event_id: int) -> Response:
    """Books, and waits five seconds for the decision unless the client prefers otherwise."""
    identity = current_identity()
    body = load_body(BOOK)
    reply = submit_booking(
        get_container(),
        current_exchange(),
        identity,
        event_id=event_id,
        **body,
        default_wait=WAIT_DEFAULT_SECONDS,
    )
    return as_response(reply)


@blueprint.post("/events/<int:event_id>/cancel")
@describe(
    tag=_TAG,
    auth="user",
    path=_EVENT_PATH,
    body=EmptySchema,
    body_optional=True,
    answers=CANCELLATION_ANSWERS,
    problems=("event_not_found", *CANCELLATION_PROBLEMS),
    request_headers=LINE_REQUEST_HEADERS,
)
def cancel_registration(event_id: int) -> Response:
    """Cancels the caller's booking of the event, and waits five seconds unless the client prefers otherwise.

    It is the live one, or the last one, so that a repeated request with its Idempotency-Key gets its answer again.
    """
    identity = current_identity()
    load_body(_EMPTY)
    container = get_container()
    with transaction(container.engine) as session:
        actor = require_actor(session)
        event = get_readable_event(session, event_id)
        booking = find_last_booking(session, event_id=event_id, user_id=actor.user_id)
    if booking is None:
        raise NotFoundError("booking_not_found")
    reply = submit_cancellation(
        container,
        current_exchange(),
        identity,
        event_id=event_id,
        booking_id=booking["id"],
        acting_as=acting_as_for_booking(
            actor, owner_id=actor.user_id, host_id=event.host_id, organization_id=event.organization_id
        )
        or "owner",
        default_wait=WAIT_DEFAULT_SECONDS,
    )
    return as_response(reply)


@blueprint.get("/bookings")
@blueprint.get("/bookings/history")
@describe(
    tag=_TAG,
    auth="user",
    query=BookingListSchema,
    answers={200: Answer("A page of bookings.", BookingListDocument, headers=("Link", "Cache-Control"))},
    problems=("event_not_found",),
)
def history() -> Response:
    """Lists the caller's bookings; with `event_id`, all of an event that the caller manages; all for admins."""
    query = load_query(_LIST)
    asked = page_request(query, BOOKING_SORTS, id_kind="uuid")
    with transaction(get_container().engine) as session:
        actor = require_actor(session)
        page = list_bookings(
            session,
            user_id=_whose(session, actor, query.get("event_id")),
            event_id=query.get("event_id"),
            status=query.get("status"),
            upcoming_only=query.get("upcoming_only", False),
            page=asked,
        )
    document, headers = list_document([booking_document(row) for row in page.rows], page, asked)
    return json_response(document, headers={**headers, **NO_STORE})


@blueprint.get("/bookings/<uuid:booking_id>")
@describe(
    tag=_TAG,
    auth="user",
    path=_BOOKING_PATH,
    answers={200: Answer("The booking.", BookingDocument, headers=("Cache-Control",))},
    problems=("booking_not_found",),
)
def read(booking_id: uuid.UUID) -> Response:
    """Shows a booking of the caller, of an event they host, or any to admins."""
    with transaction(get_container().engine) as session:
        actor = require_actor(session)
        booking, _ = _reachable(find_booking(session, booking_id), actor)
    return json_response(booking_document(booking), headers=NO_STORE)


@blueprint.get("/bookings/reference/<reference>")
@describe(
    tag=_TAG,
    auth="user",
    path={"reference": "What stands on the ticket, such as K7Q2-9XMD."},
    answers={200: Answer("The booking.", BookingDocument, headers=("Cache-Control",))},
    problems=("booking_not_found",),
)
def read_by_reference(reference: str) -> Response:
    """Finds a booking by the reference that stands on the ticket; spaces, dash and case do not matter."""
    with transaction(get_container().engine) as session:
        actor = require_actor(session)
        booking, _ = _reachable(find_booking_by_reference(session, reference), actor)
    return json_response(booking_document(booking), headers=NO_STORE)


@blueprint.put("/bookings/<uuid:booking_id>/cancel")
@blueprint.delete("/bookings/<uuid:booking_id>")
@describe(
    tag=_TAG,
    auth="user",
    path=_BOOKING_PATH,
    body=EmptySchema,
    body_optional=True,
    answers=CANCELLATION_ANSWERS,
    problems=CANCELLATION_PROBLEMS,
    request_headers=LINE_REQUEST_HEADERS,
)
def cancel(booking_id: uuid.UUID) -> Response:
    """Cancels a booking, through the line, and waits five seconds unless the client prefers otherwise."""
    identity = current_identity()
    load_body(_EMPTY)
    key = idempotency_key(request.environ)  # one that is none is refused before anything is written
    container = get_container()
    with transaction(container.engine) as session:
        actor = require_actor(session)
        booking, acting_as = _reachable(find_booking(session, booking_id), actor)
        if acting_as == "admin" and booking["user_id"] != actor.user_id and booking["status"] != "cancelled":
            audit_log.record(
                session,
                actor_id=actor.user_id,
                action="booking.cancel",
                target_type="booking",
                target_id=booking_id,
                changes={"event_id": booking["event_id"]},  # asked for; the ledger has what came of it
                request_id=g.request_id,
            )
    if booking["status"] == "cancelled" and key is None:
        raise RefusedError("already_cancelled", booking=booking_document(booking))
    reply = submit_cancellation(
        container,
        current_exchange(),
        identity,
        event_id=booking["event_id"],
        booking_id=booking_id,
        acting_as=acting_as,
        default_wait=WAIT_DEFAULT_SECONDS,
    )
    return as_response(reply)


def _reachable(booking: dict[str, Any] | None, actor: Actor) -> tuple[dict[str, Any], Any]:
    """The booking and the right under which the actor reaches it; somebody else's is not there."""
    acting_as = booking and acting_as_for_booking(
        actor,
        owner_id=booking["user_id"],
        host_id=booking["host_id"],
        organization_id=booking["organization_id"],
    )
    if booking is None or acting_as is None:
        raise NotFoundError("booking_not_found")
    return booking, acting_as


def _whose(session: Session, actor: Actor, event_id: int | None) -> int | None:
    """Whose bookings a list may show: the caller's, or everybody's (None)."""
    if actor.is_admin:
        return None
    if event_id is None:
        return actor.user_id
    event = get_readable_event(session, event_id)
    manages = may_manage_event(actor, host_id=event.host_id, organization_id=event.organization_id)
    return None if manages else actor.user_id
