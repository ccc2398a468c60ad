"""Hosts: their public profile."""

from typing import Final

from flask import Blueprint, Response

from api.caching import cached_response
from api.container import get_container
from api.contract import Answer, describe
from api.schemas.hosts import HostProfileDocument, host_profile_document
from shared.db import transaction
from shared.errors import NotFoundError
from shared.store.hosts import find_host

blueprint = Blueprint("hosts", __name__)

_CACHED: Final = ("ETag", "Cache-Control", "Vary")


@blueprint.get("/hosts/<int:host_id>")
@describe(
    tag="Following",
    auth="none",
    path={"host_id": "The host's user id, as events name it."},
    answers={
        200: Answer("The host.", HostProfileDocument, headers=_CACHED),
        304: Answer("Nothing has changed.", headers=_CACHED),
    },
    problems=("host_not_found",),
)
def show(host_id: int) -> Response:
    """Shows a host's public profile: who hosts by role, or has published an event."""
    with transaction(get_container().engine) as session:
        host = find_host(session, host_id)
    if host is None:
        raise NotFoundError("host_not_found")
    return cached_response(host_profile_document(host))
