"""How many tickets are left: of everything on sale, or of one event."""

from typing import Final

from flask import Blueprint, Response, request

from api.caching import answer_response, make_answer
from api.container import Container, get_container
from api.contract import Answer, describe
from api.event_access import get_readable_event
from api.paging import list_document, page_request
from api.parsing import load_query
from api.responses import ReadyAnswer
from api.schemas.event_documents import SlotsDocument, SlotsListDocument
from api.schemas.events import SLOT_SORTS, SlotListSchema, slots_document
from shared.db import transaction
from shared.domain.events import DRAFT
from shared.store.events import EventFilters, find_event, list_events, make_event_row
from shared.store.paging import PageRequest

blueprint = Blueprint("event_slots", __name__)

_LIST: Final = SlotListSchema()
_TAG: Final = "Events"
_CACHED: Final = ("ETag", "Cache-Control", "Vary")


@blueprint.get("/events/slots")
@describe(
    tag=_TAG,
    auth="none",
    query=SlotListSchema,
    answers={
        200: Answer("A page of slots.", SlotsListDocument, headers=("Link", *_CACHED)),
        304: Answer("Nothing on the page has changed.", headers=("Link", *_CACHED)),
    },
)
def list_slots() -> Response:
    """Lists how many tickets are left of the events whose sale is open or will be, by start."""
    container = get_container()
    asked = container.questions.parse(request.path, request.query_string, _parse_list)
    answer = container.answers.get(
        ("slots", asked), container.stamps.of_lists, lambda: _read_list(container, asked)
    )
    return answer_response(answer)


@blueprint.get("/events/slots/<int:event_id>")
@blueprint.get("/events/<int:event_id>/slots")
@describe(
    tag=_TAG,
    auth="optional",
    path={"event_id": "The event's id."},
    answers={
        200: Answer("The tickets left.", SlotsDocument, headers=_CACHED),
        304: Answer("As many are left as before.", headers=_CACHED),
    },
    problems=("event_not_found",),
)
def show_slots(event_id: int) -> Response:
    """Tells how many tickets of an event are left, never behind by more than a second."""
    container = get_container()
    answer = container.answers.get(
        ("slots", event_id),
        lambda: container.stamps.of_event(event_id),
        lambda: _read_public(container, event_id),
    )
    if answer is not None:
        return answer_response(answer)
    with transaction(container.engine) as session:
        event = get_readable_event(session, event_id)
    return answer_response(make_answer(slots_document(event)))


def _parse_list() -> PageRequest:
    return page_request(load_query(_LIST), SLOT_SORTS)


def _read_list(container: Container, asked: PageRequest) -> ReadyAnswer:
    with transaction(container.engine) as session:
        page = list_events(session, EventFilters(on_sale=True), asked)
    document, headers = list_document([slots_document(make_event_row(row)) for row in page.rows], page, asked)
    return make_answer(document, headers=headers)


def _read_public(container: Container, event_id: int) -> ReadyAnswer | None:
    """The tickets left of what everybody may see."""
    with transaction(container.engine) as session:
        event = find_event(session, event_id)
    return None if event is None or event.status == DRAFT else make_answer(slots_document(event))
