"""The answer to a poll: where a request stands, to whom it may be told."""

import hashlib
import uuid
from http import HTTPStatus
from typing import Any

import orjson

from api.access_tokens import Identity
from api.auth import find_actor
from api.caching import is_known
from api.container import Container
from api.exchange import Exchange
from api.line_responses import await_reply, read_document
from api.replies import Reply
from shared.db import transaction
from shared.errors import NotFoundError
from shared.services.requests import RequestStatus


def status_reply(
    container: Container, exchange: Exchange, identity: Identity, job_id: uuid.UUID, *, wait_seconds: int = 0
) -> Reply:
    """The status document, after a decision or `wait_seconds`; 304 for who has it. Raises as `get_own_status`."""

    def make(status: RequestStatus) -> Reply:
        if status.is_decided:
            container.stamps.event_decided(status.event_id)
        return _tagged(exchange, read_document(container, status))

    status = get_own_status(container, identity, job_id)
    if status.is_decided or not wait_seconds:
        return make(status)
    return await_reply(
        container, exchange, job_id, identity.subjects, seconds=wait_seconds, make=make, sits_out=True
    )


def get_own_status(container: Container, identity: Identity, job_id: uuid.UUID) -> RequestStatus:
    """The status of a request that is the caller's; an admin may see any. Costs as `StatusLooks.get`, and for somebody
    else's one round trip to PostgreSQL.

    Raises as that does, and NotFoundError `job_not_found` for somebody else's.
    """
    status = container.statuses.get(job_id, identity.subjects)
    if status.user_id != identity.user_id:
        with transaction(container.engine) as session:
            is_admin = find_actor(session, identity).is_admin
        if not is_admin:
            raise NotFoundError("job_not_found")
    return status


def _tagged(exchange: Exchange, document: dict[str, Any]) -> Reply:
    """The document with an ETag of what changes by itself, not of the stream token, which is always new."""
    links = document.pop("links")
    essence = orjson.dumps(document)
    etag = hashlib.blake2b(essence, digest_size=12).hexdigest()
    headers = {
        "Cache-Control": "private, no-cache",
        "Vary": "Authorization",
        "ETag": f'"{etag}"',
        "Content-Type": "application/json",
    }
    status = HTTPStatus.NOT_MODIFIED if is_known(etag, exchange.environ) else HTTPStatus.OK
    return Reply(status.value, essence[:-1] + b',"links":' + orjson.dumps(links) + b"}", headers)
