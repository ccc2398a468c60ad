"""Following hosts, to be told of their new events."""

from typing import Final

from flask import Blueprint, Response

from api.auth import current_identity, require_actor
from api.container import get_container
from api.contract import Answer, describe
from api.paging import list_document, page_request
from api.parsing import load_body, load_query
from api.responses import NO_STORE, json_response
from api.schemas.follows import (
    FOLLOW_SORTS,
    FollowDocument,
    FollowListDocument,
    FollowListSchema,
    follow_document,
)
from api.schemas.requests import EmptySchema
from shared.db import transaction
from shared.services import follows
from shared.store.follows import list_following

blueprint = Blueprint("follows", __name__)

_LIST: Final = FollowListSchema()

_TAG: Final = "Following"
_PATH: Final = {"host_id": "The host's user id, as events name it."}


@blueprint.post("/hosts/<int:host_id>/follow")
@describe(
    tag=_TAG,
    auth="user",
    path=_PATH,
    body=EmptySchema,
    body_optional=True,
    answers={200: Answer("You follow the host.", FollowDocument, headers=("Cache-Control",))},
    problems=("host_not_found", "own_host"),
)
def follow(host_id: int) -> Response:
    """Follows a host, to be told of new events; repeated, it changes nothing."""
    current_identity()
    load_body(EmptySchema())
    with transaction(get_container().engine) as session:
        host, found = follows.follow(session, host_id, actor=require_actor(session))
    document = follow_document(host_id=host.id, host_name=host.name, created_at=found.created_at)
    return json_response(document, headers=NO_STORE)


@blueprint.delete("/hosts/<int:host_id>/follow")
@describe(
    tag=_TAG,
    auth="user",
    path=_PATH,
    answers={204: Answer("You do not follow the host.", headers=("Cache-Control",))},
    problems=("host_not_found",),
)
def unfollow(host_id: int) -> Response:
    """Follows a host no longer; repeated, it changes nothing."""
    with transaction(get_container().engine) as session:
        follows.unfollow(session, host_id, actor=require_actor(session))
    return Response(status=204, headers=NO_STORE)


@blueprint.get("/following")
@describe(
    tag=_TAG,
    auth="user",
    query=FollowListSchema,
    answers={200: Answer("A page of hosts.", FollowListDocument, headers=("Link", "Cache-Control"))},
)
def following() -> Response:
    """Lists the hosts that the caller follows, the last one first."""
    asked = page_request(load_query(_LIST), FOLLOW_SORTS)
    with transaction(get_container().engine) as session:
        page = list_following(session, user_id=require_actor(session).user_id, page=asked)
    items = [
        follow_document(host_id=row["host_id"], host_name=row["host_name"], created_at=row["created_at"])
        for row in page.rows
    ]
    document, headers = list_document(items, page, asked)
    return json_response(document, headers={**headers, **NO_STORE})
