"""How many tickets are left: of everything on sale, or of one event."""

from typing import Final

from flask import Blueprint, Response

from api.caching import cached_response
from api.container import get_container
from api.event_access import get_readable_event
from api.paging import PagingSchema, list_document, page_request
from api.parsing import load_query
from api.schemas.events import SLOT_SORTS, slots_document
from shared.db import transaction
from shared.store.events import EventFilters, list_events, make_event_row

blueprint = Blueprint("event_slots", __name__)

_LIST: Final = PagingSchema()


@blueprint.get("/events/slots")
def list_slots() -> Response:
    """Slots of the events whose sale is open or will be, by start."""
    asked = page_request(load_query(_LIST), SLOT_SORTS)
    with transaction(get_container().engine) as session:
        page = list_events(session, EventFilters(on_sale=True), asked)
    document, headers = list_document([slots_document(make_event_row(row)) for row in page.rows], page, asked)
    return cached_response(document, headers=headers)


@blueprint.get("/events/slots/<int:event_id>")
@blueprint.get("/events/<int:event_id>/slots")
def show_slots(event_id: int) -> Response:
    """Slots of one event, as they stand in the database right now."""
    with transaction(get_container().engine) as session:
        event = get_readable_event(session, event_id)
    return cached_response(slots_document(event))
