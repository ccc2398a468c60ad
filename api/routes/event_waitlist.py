"""An event's waitlist, for everybody and for whoever manages the event."""

from typing import Final

from flask import Blueprint, Response

from api.auth import optional_actor
from api.container import get_container
from api.contract import Answer, describe
from api.event_access import get_readable_event
from api.paging import list_document, page_request
from api.parsing import load_query
from api.responses import NO_STORE, json_response
from api.schemas.event_waitlist import (
    EVENT_WAITLIST_SORTS,
    EventWaitlistDocument,
    EventWaitlistSchema,
    event_waitlist_document,
    waiting_attendee_document,
)
from shared.db import transaction
from shared.domain.permissions import may_manage_event
from shared.store.waitlist import find_length, list_entries_of_event

blueprint = Blueprint("event_waitlist", __name__)

_LIST: Final = EventWaitlistSchema()


@blueprint.get("/events/<int:event_id>/waitlist")
@describe(
    tag="Waitlist",
    auth="optional",
    path={"event_id": "The event's id."},
    query=EventWaitlistSchema,
    answers={
        200: Answer(
            "How long it is, and a page of it for whoever manages the event.",
            EventWaitlistDocument,
            headers=("Link", "Cache-Control"),
        )
    },
    problems=("event_not_found",),
)
def show(event_id: int) -> Response:
    """Tells how long an event's waitlist is; whoever manages the event sees who waits, in the order of joining."""
    query = load_query(_LIST)
    asked = page_request(query, EVENT_WAITLIST_SORTS, id_kind="uuid")
    with transaction(get_container().engine) as session:
        event = get_readable_event(session, event_id)
        actor = optional_actor(session)
        length = find_length(session, event.id)
        if actor is None or not may_manage_event(
            actor, host_id=event.host_id, organization_id=event.organization_id
        ):
            return json_response(event_waitlist_document(event.id, length, None), headers=NO_STORE)
        page, places = list_entries_of_event(session, event_id=event.id, status=query["status"], page=asked)
    items = [waiting_attendee_document(row, places.get(row["id"])) for row in page.rows]
    document, headers = list_document(items, page, asked)
    return json_response(event_waitlist_document(event.id, length, document), headers={**headers, **NO_STORE})
