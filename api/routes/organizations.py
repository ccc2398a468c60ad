"""`/organizations`: the list, one organization, making, changing and deleting one."""

from collections.abc import Mapping
from typing import Any, Final

from flask import Blueprint, Response, g

from api.auth import current_identity, optional_actor, require_actor
from api.caching import PRIVATE, PUBLIC, cached_response
from api.container import get_container
from api.contract import Answer, describe
from api.idempotency import answer_once
from api.paging import list_document, page_request
from api.parsing import load_body, load_query
from api.schemas.organizations import (
    ORGANIZATION_SORTS,
    OrganizationDocument,
    OrganizationListDocument,
    OrganizationListSchema,
    OrganizationSchema,
    organization_document,
    organization_filters,
)
from shared.db import Session, transaction
from shared.domain.permissions import Actor
from shared.errors import NotFoundError
from shared.services import organizations
from shared.store.organizations import find_organization, list_organizations

blueprint = Blueprint("organizations", __name__)

_LIST: Final = OrganizationListSchema()
_WHOLE: Final = OrganizationSchema()
_PART: Final = OrganizationSchema(partial=True)

_TAG: Final = "Organizations"
_PATH: Final = {"organization_id": "The organization's id."}
_CACHED: Final = ("ETag", "Cache-Control", "Vary")
_RUN_PROBLEMS: Final = ("forbidden", "organization_not_found")


@blueprint.get("/organizations")
@describe(
    tag=_TAG,
    auth="optional",
    query=OrganizationListSchema,
    answers={
        200: Answer("A page of organizations.", OrganizationListDocument, headers=("Link", *_CACHED)),
        304: Answer("Nothing on the page has changed.", headers=("Link", *_CACHED)),
    },
)
def list_all() -> Response:
    """Lists organizations by name, or those that the caller belongs to."""
    query = load_query(_LIST)
    asked = page_request(query, ORGANIZATION_SORTS)
    mine = query.get("mine", False)
    with transaction(get_container().engine) as session:
        viewer = require_actor(session) if mine else optional_actor(session)
        page = list_organizations(session, organization_filters(query, viewer), asked)
    document, headers = list_document([organization_document(row) for row in page.rows], page, asked)
    return cached_response(document, cache_control=PRIVATE if mine else PUBLIC, headers=headers)


@blueprint.get("/organizations/<int:organization_id>")
@describe(
    tag=_TAG,
    auth="none",
    path=_PATH,
    answers={
        200: Answer("The organization.", OrganizationDocument, headers=_CACHED),
        304: Answer("It has not changed.", headers=_CACHED),
    },
    problems=("organization_not_found",),
)
def show(organization_id: int) -> Response:
    """Shows an organization; its events are in the list of events, by `organization_id`."""
    with transaction(get_container().engine) as session:
        organization = _reread(session, organization_id)
    return cached_response(organization_document(organization))


@blueprint.post("/organizations")
@describe(
    tag=_TAG,
    auth="host",
    body=OrganizationSchema,
    answers={
        201: Answer(
            "The new organization.",
            OrganizationDocument,
            headers=("Location", *_CACHED, "Idempotency-Replayed"),
        )
    },
    problems=("too_many_organizations",),
    request_headers=("Idempotency-Key",),
)
def create() -> Response:
    """Makes an organization, owned by the caller."""
    current_identity()
    values = load_body(_WHOLE)
    with transaction(get_container().engine) as session:
        actor = require_actor(session, "host", "admin")
        return answer_once(
            session,
            actor=actor,
            kind="create_organization",
            payload=values,
            make=lambda: _create(session, actor, values),
        )


@blueprint.put("/organizations/<int:organization_id>")
@describe(
    tag=_TAG,
    auth="user",
    path=_PATH,
    body=OrganizationSchema,
    answers={200: Answer("The organization as it is now.", OrganizationDocument, headers=_CACHED)},
    problems=_RUN_PROBLEMS,
)
def replace(organization_id: int) -> Response:
    """Replaces an organization's fields; an address that is left out is none from then on."""
    current_identity()
    return _change(organization_id, load_body(_WHOLE), whole=True)


@blueprint.patch("/organizations/<int:organization_id>")
@describe(
    tag=_TAG,
    auth="user",
    path=_PATH,
    body=OrganizationSchema,
    body_partial=True,
    body_optional=True,
    answers={200: Answer("The organization as it is now.", OrganizationDocument, headers=_CACHED)},
    problems=_RUN_PROBLEMS,
)
def change(organization_id: int) -> Response:
    """Changes the fields of an organization that stand in the body."""
    current_identity()
    return _change(organization_id, load_body(_PART), whole=False)


@blueprint.delete("/organizations/<int:organization_id>")
@describe(
    tag=_TAG,
    auth="user",
    path=_PATH,
    answers={204: Answer("The organization is gone, and its memberships are over.")},
    problems=(*_RUN_PROBLEMS, "organization_has_events"),
)
def delete(organization_id: int) -> Response:
    """Deletes an organization that has no events."""
    with transaction(get_container().engine) as session:
        actor = require_actor(session)
        organizations.delete_organization(
            session, actor=actor, organization_id=organization_id, request_id=g.request_id
        )
    return Response(status=204)


def _create(session: Session, actor: Actor, values: dict[str, Any]) -> Response:
    organization_id = organizations.create_organization(
        session, actor=actor, values=values, request_id=g.request_id
    )
    document = organization_document(_reread(session, organization_id))
    return cached_response(
        document, status=201, headers={"Location": f"/api/organizations/{organization_id}"}
    )


def _change(organization_id: int, values: dict[str, Any], *, whole: bool) -> Response:
    with transaction(get_container().engine) as session:
        organizations.change_organization(
            session,
            actor=require_actor(session),
            organization_id=organization_id,
            values=values,
            whole=whole,
            request_id=g.request_id,
        )
        organization = _reread(session, organization_id)
    get_container().stamps.everything_changed()  # its events show its name
    return cached_response(organization_document(organization))


def _reread(session: Session, organization_id: int) -> Mapping[str, Any]:
    organization = find_organization(session, organization_id)
    if organization is None:
        raise NotFoundError("organization_not_found")
    return organization
