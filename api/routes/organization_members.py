"""`/organizations/{organization_id}/members`: who belongs to it, and adding, removing and leaving."""

from typing import Any, Final

from flask import Blueprint, Response, g

from api.auth import current_identity, require_actor
from api.container import get_container
from api.contract import Answer, describe
from api.idempotency import answer_once
from api.paging import list_document, page_request
from api.parsing import load_body, load_query
from api.responses import NO_STORE, json_response
from api.schemas.organizations import (
    MEMBER_SORTS,
    LeavingSchema,
    MemberDocument,
    MemberListDocument,
    MemberListSchema,
    MemberSchema,
    member_document,
)
from api.schemas.requests import EmptySchema
from shared.db import Session, transaction
from shared.domain.permissions import Actor
from shared.errors import NotFoundError
from shared.services import organization_members
from shared.store.organizations import find_member, find_organization, list_members

blueprint = Blueprint("organization_members", __name__)

_LIST: Final = MemberListSchema()
_NEW: Final = MemberSchema()
_LEAVING: Final = LeavingSchema()
_EMPTY: Final = EmptySchema()

_TAG: Final = "Organizations"
_PATH: Final = {"organization_id": "The organization's id."}
_REMOVED: Final = {204: Answer("The membership is over, and every right that came of it.")}
_REMOVE_PROBLEMS: Final = ("forbidden", "organization_not_found", "member_not_found", "last_owner")


@blueprint.get("/organizations/<int:organization_id>/members")
@describe(
    tag=_TAG,
    auth="user",
    path=_PATH,
    query=MemberListSchema,
    answers={200: Answer("A page of members.", MemberListDocument, headers=("Link", "Cache-Control"))},
    problems=("organization_not_found",),
)
def members(organization_id: int) -> Response:
    """Lists who belongs to an organization, for those who do and for admins."""
    asked = page_request(load_query(_LIST), MEMBER_SORTS)
    with transaction(get_container().engine) as session:
        organization_members.check_sees_members(require_actor(session), organization_id)
        if find_organization(session, organization_id) is None:  # an admin may ask for any
            raise NotFoundError("organization_not_found")
        page = list_members(session, organization_id, asked)
    document, headers = list_document([member_document(row) for row in page.rows], page, asked)
    return json_response(document, headers={**headers, **NO_STORE})


@blueprint.post("/organizations/<int:organization_id>/members")
@describe(
    tag=_TAG,
    auth="user",
    path=_PATH,
    body=MemberSchema,
    answers={
        200: Answer(
            "The member, in this role now.", MemberDocument, headers=("Cache-Control", "Idempotency-Replayed")
        ),
        201: Answer("The new member.", MemberDocument, headers=("Cache-Control", "Idempotency-Replayed")),
    },
    problems=(
        *("forbidden", "organization_not_found", "user_not_found"),
        *("last_owner", "too_many_organizations"),
    ),
    request_headers=("Idempotency-Key",),
)
def add(organization_id: int) -> Response:
    """Lets somebody belong to an organization, or gives a member another role; for its owners and admins."""
    current_identity()
    values = load_body(_NEW)
    with transaction(get_container().engine) as session:
        actor = require_actor(session)
        return answer_once(
            session,
            actor=actor,
            kind="add_member",
            payload={**values, "organization_id": organization_id},
            make=lambda: _add(session, actor, organization_id, values),
        )


@blueprint.delete("/organizations/<int:organization_id>/members")
@describe(
    tag=_TAG,
    auth="user",
    path=_PATH,
    body=LeavingSchema,
    body_optional=True,
    answers=_REMOVED,
    problems=_REMOVE_PROBLEMS,
)
def leave(organization_id: int) -> Response:
    """Leaves an organization, or removes the member in the body."""
    current_identity()
    return _remove(organization_id, load_body(_LEAVING).get("user_id"))


@blueprint.delete("/organizations/<int:organization_id>/members/<int:user_id>")
@describe(
    tag=_TAG,
    auth="user",
    path={**_PATH, "user_id": "The member's user id."},
    body=EmptySchema,
    body_optional=True,
    answers=_REMOVED,
    problems=_REMOVE_PROBLEMS,
)
def remove(organization_id: int, user_id: int) -> Response:
    """Removes a member: oneself, or as an owner or admin anybody."""
    current_identity()
    load_body(_EMPTY)
    return _remove(organization_id, user_id)


def _add(session: Session, actor: Actor, organization_id: int, values: dict[str, Any]) -> Response:
    user_id, is_new = organization_members.set_member(
        session,
        actor=actor,
        organization_id=organization_id,
        user_id=values.get("user_id"),
        email=values.get("email"),
        role=values["role"],
        request_id=g.request_id,
    )
    member = find_member(session, organization_id=organization_id, user_id=user_id)
    if member is None:
        raise NotFoundError("member_not_found")
    return json_response(member_document(member), status=201 if is_new else 200, headers=NO_STORE)


def _remove(organization_id: int, user_id: int | None) -> Response:
    with transaction(get_container().engine) as session:
        actor = require_actor(session)
        organization_members.remove_member(
            session,
            actor=actor,
            organization_id=organization_id,
            user_id=actor.user_id if user_id is None else user_id,
            request_id=g.request_id,
        )
    return Response(status=204)
