"""Interest in an event before its sale: asking to be told, one's own, and who asked for its host."""

from typing import Final

from flask import Blueprint, Response

from api.auth import current_identity, require_actor
from api.container import get_container
from api.contract import Answer, describe
from api.event_access import get_managed_event, get_readable_event
from api.paging import list_document, page_request
from api.parsing import load_body, load_query
from api.responses import NO_STORE, json_response
from api.schemas.interests import (
    INTEREST_SORTS,
    INTERESTED_SORTS,
    InterestDocument,
    InterestedListDocument,
    InterestedListSchema,
    InterestListDocument,
    InterestListSchema,
    interest_document,
    interested_document,
)
from api.schemas.requests import EmptySchema
from shared.db import transaction
from shared.services import interests
from shared.store.events import make_event_row
from shared.store.interests import count_interested, list_interested, list_interests

blueprint = Blueprint("interests", __name__)

_MINE: Final = InterestListSchema()
_INTERESTED: Final = InterestedListSchema()

_TAG: Final = "Following"
_PATH: Final = {"event_id": "The event's id."}
_LISTED: Final = ("Link", "Cache-Control")


@blueprint.post("/events/<int:event_id>/interest")
@describe(
    tag=_TAG,
    auth="user",
    path=_PATH,
    body=EmptySchema,
    body_optional=True,
    answers={200: Answer("You will be told.", InterestDocument, headers=("Cache-Control",))},
    problems=("event_not_found", "event_cancelled", "sales_closed", "sales_open"),
)
def add(event_id: int) -> Response:
    """Asks to be told when the sale opens; repeated, it changes nothing."""
    current_identity()
    load_body(EmptySchema())
    with transaction(get_container().engine) as session:
        actor = require_actor(session)
        event = get_readable_event(session, event_id)
        created_at = interests.add_interest(session, event, actor=actor)
    return json_response(interest_document(event, created_at), headers=NO_STORE)


@blueprint.delete("/events/<int:event_id>/interest")
@describe(
    tag=_TAG,
    auth="user",
    path=_PATH,
    answers={204: Answer("You will not be told, or were not to be anyway.", headers=("Cache-Control",))},
    problems=("event_not_found",),
)
def remove(event_id: int) -> Response:
    """Takes the interest back; repeated, it changes nothing."""
    with transaction(get_container().engine) as session:
        actor = require_actor(session)
        if not interests.remove_interest(session, event_id=event_id, user_id=actor.user_id):
            get_readable_event(session, event_id)
    return Response(status=204, headers=NO_STORE)


@blueprint.get("/events/<int:event_id>/interest")
@describe(
    tag=_TAG,
    auth="user",
    path=_PATH,
    query=InterestedListSchema,
    answers={
        200: Answer("A page of people, and how many there are.", InterestedListDocument, headers=_LISTED)
    },
    problems=("forbidden", "event_not_found"),
)
def interested(event_id: int) -> Response:
    """Counts and lists who wants to be told, the first who asked first; for who manages the event."""
    asked = page_request(load_query(_INTERESTED), INTERESTED_SORTS)
    with transaction(get_container().engine) as session:
        event = get_managed_event(session, require_actor(session), event_id)
        page = list_interested(session, event_id=event.id, page=asked)
        count = count_interested(session, event.id)
    document, headers = list_document([interested_document(row) for row in page.rows], page, asked)
    return json_response({**document, "interested_count": count}, headers={**headers, **NO_STORE})


@blueprint.get("/interests")
@describe(
    tag=_TAG,
    auth="user",
    query=InterestListSchema,
    answers={200: Answer("A page of interests.", InterestListDocument, headers=_LISTED)},
)
def mine() -> Response:
    """Lists the events that the caller is interested in, the last one first."""
    asked = page_request(load_query(_MINE), INTEREST_SORTS)
    with transaction(get_container().engine) as session:
        actor = require_actor(session)
        page = list_interests(session, user_id=actor.user_id, page=asked)
    items = [interest_document(make_event_row(row), row["interested_at"]) for row in page.rows]
    document, headers = list_document(items, page, asked)
    return json_response(document, headers={**headers, **NO_STORE})
