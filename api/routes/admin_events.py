"""`/admin/events`: every event there is, drafts and hidden ones too."""

from typing import Final

from flask import Blueprint, Response

from api.auth import require_actor
from api.container import get_container
from api.contract import Answer, describe
from api.paging import list_document, page_request
from api.parsing import load_query
from api.responses import NO_STORE, json_response
from api.schemas.admin_events import (
    ADMIN_EVENT_SORTS,
    AdminEventListDocument,
    AdminEventListSchema,
    admin_event_document,
    admin_event_filters,
)
from shared.db import transaction
from shared.store.events import ADMIN_COLUMNS, list_events

blueprint = Blueprint("admin_events", __name__)

_LIST: Final = AdminEventListSchema()


@blueprint.get("/admin/events")
@describe(
    tag="Events",
    auth="admin",
    query=AdminEventListSchema,
    answers={200: Answer("A page of events.", AdminEventListDocument, headers=("Link", "Cache-Control"))},
)
def list_all() -> Response:
    """Lists every event, the newest first: drafts of everybody, what is over, and with `hidden` what was deleted."""
    query = load_query(_LIST)
    asked = page_request(query, ADMIN_EVENT_SORTS)
    with transaction(get_container().engine) as session:
        filters = admin_event_filters(query, require_actor(session, "admin"))
        page = list_events(session, filters, asked, columns=ADMIN_COLUMNS)
    document, headers = list_document([admin_event_document(row) for row in page.rows], page, asked)
    return json_response(document, headers={**headers, **NO_STORE})
