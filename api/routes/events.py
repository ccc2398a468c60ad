"""`/events`: the list, one event, creating, changing, calling off and hiding one."""

from typing import Any, Final

from flask import Blueprint, Response, g, request

from api.auth import current_identity, optional_actor, require_actor
from api.caching import PRIVATE, PUBLIC, answer_response, if_match_versions, make_answer, without_impressions
from api.container import get_container
from api.contract import Answer, describe
from api.event_access import get_readable_event
from api.idempotency import answer_once
from api.paging import list_document, page_request
from api.parsing import load_body, load_query
from api.responses import ReadyAnswer
from api.schemas.event_documents import EventDocument, EventListDocument
from api.schemas.events import (
    EVENT_SORTS,
    EventListSchema,
    EventSchema,
    NewEventSchema,
    event_document,
    event_filters,
)
from shared.db import Session, transaction
from shared.domain.events import DRAFT
from shared.domain.permissions import Actor
from shared.errors import NotFoundError
from shared.services import control_requests, events
from shared.store.events import EventFilters, EventRow, find_event, list_events, make_event_row
from shared.store.paging import Page, PageRequest

blueprint = Blueprint("events", __name__)

_LIST: Final = EventListSchema()
_NEW: Final = NewEventSchema()
_WHOLE: Final = EventSchema()
_PART: Final = EventSchema(partial=True)

_TAG: Final = "Events"
_PATH: Final = {"event_id": "The event's id."}
_CACHED: Final = ("ETag", "Cache-Control", "Vary")
_MANAGED_PROBLEMS: Final = ("forbidden", "event_not_found", "precondition_failed")
_CHANGE_PROBLEMS: Final = (
    *_MANAGED_PROBLEMS,
    "capacity_below_committed",
    "event_code_taken",
    "event_has_bookings",
    "event_over",
    "organization_not_found",
)


@blueprint.get("/events")
@blueprint.get("/events/view")
@describe(
    tag=_TAG,
    auth="optional",
    query=EventListSchema,
    answers={
        200: Answer("A page of events.", EventListDocument, headers=("Link", *_CACHED)),
        304: Answer("Nothing on the page has changed.", headers=("Link", *_CACHED)),
    },
)
def list_all() -> Response:
    """Lists what is coming, or what the filters say; whoever manages drafts sees them too."""
    if "Authorization" in request.headers:
        return _personal_list()
    container = get_container()
    asked = container.questions.parse(request.path, request.query_string, lambda: _parse_list(None))
    answer = container.answers.get(
        (request.path, asked), container.stamps.of_lists, lambda: _read_public_list(asked)
    )
    return answer_response(answer)


@blueprint.get("/events/<int:event_id>")
@blueprint.get("/events/<int:event_id>/view")
@describe(
    tag=_TAG,
    auth="optional",
    path=_PATH,
    answers={
        200: Answer("The event.", EventDocument, headers=_CACHED),
        304: Answer("It has not changed; impressions do not count.", headers=_CACHED),
    },
    problems=("event_not_found",),
)
def show(event_id: int) -> Response:
    """Shows an event; a draft only to who manages it. Counts the look, without a write."""
    container = get_container()
    answer = container.answers.get(
        ("event", event_id), lambda: container.stamps.of_event(event_id), lambda: _read_public_event(event_id)
    )
    if answer is None:
        return _show_draft(event_id)
    _count_look(event_id)
    return answer_response(answer)


@blueprint.post("/events")
@describe(
    tag=_TAG,
    auth="host",
    body=NewEventSchema,
    answers={
        201: Answer("The new event.", EventDocument, headers=("Location", *_CACHED, "Idempotency-Replayed"))
    },
    problems=("event_code_taken", "organization_not_found"),
    request_headers=("Idempotency-Key",),
)
def create() -> Response:
    """Creates an event, hosted by the caller."""
    current_identity()
    values = load_body(_NEW)
    with transaction(get_container().engine) as session:
        actor = require_actor(session, "host", "admin")
        response = answer_once(
            session,
            actor=actor,
            kind="create_event",
            payload=values,
            make=lambda: _create(session, actor, values),
        )
    get_container().stamps.event_created()
    return response


@blueprint.put("/events/<int:event_id>")
@describe(
    tag=_TAG,
    auth="user",
    path=_PATH,
    body=EventSchema,
    answers={200: Answer("The event as it is now.", EventDocument, headers=_CACHED)},
    problems=_CHANGE_PROBLEMS,
    request_headers=("If-Match",),
)
def replace(event_id: int) -> Response:
    """Replaces an event's writable fields; what is left out goes back to its default, except the status."""
    current_identity()
    return _change(event_id, load_body(_WHOLE), whole=True)


@blueprint.patch("/events/<int:event_id>")
@describe(
    tag=_TAG,
    auth="user",
    path=_PATH,
    body=EventSchema,
    body_partial=True,
    body_optional=True,
    answers={200: Answer("The event as it is now.", EventDocument, headers=_CACHED)},
    problems=_CHANGE_PROBLEMS,
    request_headers=("If-Match",),
)
def change(event_id: int) -> Response:
    """Changes the fields of an event that stand in the body; status cancelled calls it off."""
    current_identity()
    return _change(event_id, load_body(_PART), whole=False)


@blueprint.delete("/events/<int:event_id>")
@describe(
    tag=_TAG,
    auth="user",
    path=_PATH,
    answers={204: Answer("The event is hidden; its code is free again.")},
    problems=(*_MANAGED_PROBLEMS, "event_has_bookings"),
    request_headers=("If-Match",),
)
def delete(event_id: int) -> Response:
    """Hides an event; one with live bookings is called off instead."""
    with transaction(get_container().engine) as session:
        actor = require_actor(session)
        events.delete_event(
            session, actor=actor, event_id=event_id, versions=if_match_versions(), request_id=g.request_id
        )
    get_container().stamps.event_changed(event_id)
    return Response(status=204)


def _parse_list(viewer: Actor | None) -> tuple[EventFilters, PageRequest]:
    query = load_query(_LIST)
    return event_filters(query, viewer), page_request(query, EVENT_SORTS)


def _personal_list() -> Response:
    _parse_list(None)  # what is wrong with the query is said before who asks is looked up
    with transaction(get_container().engine) as session:
        viewer = optional_actor(session)
        filters, asked = _parse_list(viewer)
        page = list_events(session, filters, asked)
    return answer_response(_list_answer(page, asked), cache_control=PUBLIC if viewer is None else PRIVATE)


def _read_public_list(asked: tuple[EventFilters, PageRequest]) -> ReadyAnswer:
    filters, page_asked = asked
    with transaction(get_container().engine) as session:
        page = list_events(session, filters, page_asked)
    return _list_answer(page, page_asked)


def _list_answer(page: Page, asked: PageRequest) -> ReadyAnswer:
    documents = [event_document(make_event_row(row)) for row in page.rows]
    document, headers = list_document(documents, page, asked)
    tagged = {**document, "items": [without_impressions(item) for item in documents]}
    return make_answer(document, tagged=tagged, headers=headers)


def _read_public_event(event_id: int) -> ReadyAnswer | None:
    """The event as everybody sees it; None for a draft, and for one that nobody has."""
    with transaction(get_container().engine) as session:
        event = find_event(session, event_id)
    return None if event is None or event.status == DRAFT else _event_answer(event)


def _show_draft(event_id: int) -> Response:
    """The draft, if the caller manages it; raises `event_not_found`."""
    with transaction(get_container().engine) as session:
        event = get_readable_event(session, event_id)
    _count_look(event_id)
    return _event_response(event)


def _count_look(event_id: int) -> None:
    if request.method == "GET":  # HEAD is answered here too
        get_container().impressions.count(event_id)


def _create(session: Session, actor: Actor, values: dict[str, Any]) -> Response:
    event_id = events.create_event(session, actor=actor, values=values, request_id=g.request_id)
    headers = {"Location": f"/api/events/{event_id}"}
    return _event_response(_reread(session, event_id), status=201, headers=headers)


def _change(event_id: int, values: dict[str, Any], *, whole: bool) -> Response:
    container = get_container()
    with transaction(container.engine) as session:
        actor = require_actor(session)
        jobs = events.change_event(
            session,
            actor=actor,
            event_id=event_id,
            values=values,
            whole=whole,
            versions=if_match_versions(),
            request_id=g.request_id,
        )
        event = _reread(session, event_id)
    container.stamps.event_changed(event_id)
    if jobs:
        control_requests.put_into_line(container.engine, container.line, jobs)
    return _event_response(event)


def _reread(session: Session, event_id: int) -> EventRow:
    event = find_event(session, event_id)
    if event is None:
        raise NotFoundError("event_not_found")
    return event


def _event_response(event: EventRow, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return answer_response(
        _event_answer(event),
        cache_control=PRIVATE if event.status == DRAFT else PUBLIC,
        headers=headers,
        status=status,
    )


def _event_answer(event: EventRow) -> ReadyAnswer:
    document = event_document(event)
    return make_answer(document, tagged=without_impressions(document), version=event.version)
