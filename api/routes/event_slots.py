"""How many tickets are left: of everything on sale, or of one event."""

from typing import Final

from flask import Blueprint, Response

from api.caching import cached_response
from api.container import get_container
from api.contract import Answer, describe
from api.event_access import get_readable_event
from api.paging import list_document, page_request
from api.parsing import load_query
from api.schemas.event_documents import SlotsDocument, SlotsListDocument
from api.schemas.events import SLOT_SORTS, SlotListSchema, slots_document
from shared.db import transaction
from shared.store.events import EventFilters, list_events, make_event_row

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
    asked = page_request(load_query(_LIST), SLOT_SORTS)
    with transaction(get_container().engine) as session:
        page = list_events(session, EventFilters(on_sale=True), asked)
    document, headers = list_document([slots_document(make_event_row(row)) for row in page.rows], page, asked)
    return cached_response(document, headers=headers)


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
    """Tells how many tickets of an event are left, as the database says right now."""
    with transaction(get_container().engine) as session:
        event = get_readable_event(session, event_id)
    return cached_response(slots_document(event))
