"""An event's ledger, public: anyone can recompute its hashes and its outcomes."""

from typing import Final

from flask import Blueprint, Response

from api.caching import cached_response
from api.container import get_container
from api.contract import Answer, describe
from api.event_access import get_readable_event
from api.paging import list_document, page_request
from api.parsing import load_query
from api.schemas.event_decisions import (
    DecisionListDocument,
    LedgerHeadDocument,
    decision_document,
    head_document,
)
from api.schemas.events import DECISION_SORTS, DecisionListSchema
from shared.db import transaction
from shared.store.event_decisions import list_decisions

blueprint = Blueprint("event_decisions", __name__)

_LIST: Final = DecisionListSchema()
_TAG: Final = "Ledger"
_PATH: Final = {"event_id": "The event's id."}
_CACHED: Final = ("ETag", "Cache-Control", "Vary")


@blueprint.get("/events/<int:event_id>/decisions")
@describe(
    tag=_TAG,
    auth="optional",
    path=_PATH,
    query=DecisionListSchema,
    answers={
        200: Answer("A page of the ledger.", DecisionListDocument, headers=("Link", *_CACHED)),
        304: Answer("No row was added to the page.", headers=("Link", *_CACHED)),
    },
    problems=("event_not_found",),
)
def list_ledger(event_id: int) -> Response:
    """Lists an event's ledger by number, without users."""
    asked = page_request(load_query(_LIST), DECISION_SORTS)
    with transaction(get_container().engine) as session:
        event = get_readable_event(session, event_id)
        page = list_decisions(session, event_id=event.id, page=asked)
    document, headers = list_document([decision_document(row) for row in page.rows], page, asked)
    return cached_response(document, headers=headers)


@blueprint.get("/events/<int:event_id>/decisions/head")
@describe(
    tag=_TAG,
    auth="optional",
    path=_PATH,
    answers={
        200: Answer("The newest row's number and hash.", LedgerHeadDocument, headers=_CACHED),
        304: Answer("No row was added.", headers=_CACHED),
    },
    problems=("event_not_found",),
)
def show_head(event_id: int) -> Response:
    """Shows the newest row's number and hash: whoever keeps them can tell later that nothing before changed."""
    with transaction(get_container().engine) as session:
        event = get_readable_event(session, event_id)
    return cached_response(head_document(event))
