"""An event's ledger, public: anyone can recompute its hashes and its outcomes."""

from typing import Final

from flask import Blueprint, Response

from api.caching import cached_response
from api.container import get_container
from api.event_access import get_readable_event
from api.paging import PagingSchema, list_document, page_request
from api.parsing import load_query
from api.schemas.event_decisions import decision_document, head_document
from api.schemas.events import DECISION_SORTS
from shared.db import transaction
from shared.store.event_decisions import list_decisions

blueprint = Blueprint("event_decisions", __name__)

_LIST: Final = PagingSchema()


@blueprint.get("/events/<int:event_id>/decisions")
def list_ledger(event_id: int) -> Response:
    """The ledger's rows by number, without users."""
    asked = page_request(load_query(_LIST), DECISION_SORTS)
    with transaction(get_container().engine) as session:
        event = get_readable_event(session, event_id)
        page = list_decisions(session, event_id=event.id, page=asked)
    document, headers = list_document([decision_document(row) for row in page.rows], page, asked)
    return cached_response(document, headers=headers)


@blueprint.get("/events/<int:event_id>/decisions/head")
def show_head(event_id: int) -> Response:
    """The newest row's number and hash."""
    with transaction(get_container().engine) as session:
        event = get_readable_event(session, event_id)
    return cached_response(head_document(event))
