"""Following a request: list, poll, long-poll, stream, and leaving the line."""

import uuid
from typing import Final

from flask import Blueprint, Response, request

from api.auth import current_identity, require_actor
from api.container import get_container
from api.contract import Answer, describe
from api.event_streams import DECIDED, EventsResponse, StatusEvents
from api.exchange import current_exchange
from api.line_answers import UNDECIDED_EXAMPLE
from api.line_responses import read_document
from api.parsing import load_query
from api.replies import as_response
from api.responses import NO_STORE, json_response
from api.schemas.request_documents import RequestStatusDocument, RequestStatusListDocument
from api.schemas.requests import RequestListSchema, StreamSchema, WaitSchema, retry_after
from api.status_replies import get_own_status, status_reply
from api.stream_tokens import is_valid_stream_token
from shared.db import transaction
from shared.domain.requests import LIMITED_KINDS
from shared.errors import GuichetError, NotFoundError, RefusedError
from shared.services.requests import list_requests

blueprint = Blueprint("requests", __name__)

_WAIT: Final = WaitSchema()
_LIST: Final = RequestListSchema()
_STREAM: Final = StreamSchema()

_TAG: Final = "Requests"
_PATH: Final = {"job_id": "The request's job id, from the 202."}
_CACHED: Final = ("ETag", "Cache-Control", "Vary")
_PROBLEMS: Final = ("job_not_found", "line_unavailable")
_STREAM_EXAMPLE: Final = """\
id: position-2
event: position
data: {"job_id":"01990f5e-79b4-7f0a-8a6c-2d41be907c55","kind":"book","status":"queued","position":2,"…":"…"}

id: decided
event: decided
data: {"job_id":"01990f5e-79b4-7f0a-8a6c-2d41be907c55","kind":"book","status":"confirmed","position":null,"…":"…"}

"""


@blueprint.get("/bookings/requests")
@describe(
    tag=_TAG,
    auth="user",
    query=RequestListSchema,
    answers={
        200: Answer("A page of requests.", RequestStatusListDocument, headers=("Link", "Cache-Control"))
    },
    problems=("line_unavailable",),
)
def list_mine() -> Response:
    """Lists the caller's requests, undecided and decided, newest first."""
    query = load_query(_LIST)
    container = get_container()
    with transaction(container.engine) as session:
        actor = require_actor(session)
    found = list_requests(
        container.engine, container.line, actor.user_id, before=query.get("cursor"), limit=query["limit"] + 1
    )
    shown = found[: query["limit"]]
    cursor = str(shown[-1].job_id) if len(found) > len(shown) else None
    document = {"items": [read_document(container, status) for status in shown], "next_cursor": cursor}
    headers = dict(NO_STORE)
    if cursor is not None:
        address = f"{container.settings.base_url}{request.path}?limit={query['limit']}&cursor={cursor}"
        headers["Link"] = f'<{address}>; rel="next"'
    return json_response(document, headers=headers)


@blueprint.get("/bookings/status/<uuid:job_id>")
@describe(
    tag=_TAG,
    auth="user",
    path=_PATH,
    query=WaitSchema,
    answers={
        200: Answer("The request, decided or not.", RequestStatusDocument, headers=_CACHED),
        304: Answer("It stands as before.", headers=_CACHED),
    },
    problems=_PROBLEMS,
)
def poll(job_id: uuid.UUID) -> Response:
    """Shows where a request stands; with `wait`, when there is a decision or the time is over."""
    identity = current_identity()
    seconds = load_query(_WAIT)["wait"] if request.args else 0
    reply = status_reply(get_container(), current_exchange(), identity, job_id, wait_seconds=seconds)
    return as_response(reply)


@blueprint.get("/bookings/status/<uuid:job_id>/stream")
@describe(
    tag=_TAG,
    auth="optional",
    path=_PATH,
    query=StreamSchema,
    answers={
        200: Answer(
            "Server-sent events; the data of each is the status document. Comments keep the connection awake, and"
            " after ten minutes it closes in any case.",
            media_type="text/event-stream",
            headers=("Cache-Control",),
            example=_STREAM_EXAMPLE,
        ),
        204: Answer("Last-Event-ID says that the decision was seen: do not connect again."),
    },
    problems=_PROBLEMS,
    request_headers=("Last-Event-ID",),
)
def stream(job_id: uuid.UUID) -> Response:
    """Streams where a request stands: `position` whenever it changes, `decided` at last, then it closes.

    Needs the access token as bearer, or the token in the query of `links.stream`.
    """
    container = get_container()
    token = load_query(_STREAM).get("token") if request.args else None
    subjects = None
    if token is None:
        identity = current_identity()
        subjects = identity.subjects
        status = get_own_status(container, identity, job_id)
    elif is_valid_stream_token(container.settings.secret_key, job_id, token):
        status = container.statuses.get(job_id, None)
    else:
        raise GuichetError(
            "unauthenticated", "The stream token is not valid for this request, or has expired."
        )
    last_seen = request.headers.get("Last-Event-ID", "")
    if status.is_decided and last_seen == DECIDED:
        return Response(status=204)  # tells an EventSource not to connect again
    return EventsResponse(StatusEvents(container, status, subjects, last_seen))


@blueprint.delete("/bookings/status/<uuid:job_id>")
@describe(
    tag=_TAG,
    auth="user",
    path=_PATH,
    answers={
        202: Answer(
            "The mark is set: decided `withdrawn` when its turn comes, unless it was taken a moment ago.",
            RequestStatusDocument,
            headers=("Location", "Retry-After", "Cache-Control"),
            example=UNDECIDED_EXAMPLE,
        )
    },
    problems=(*_PROBLEMS, "not_withdrawable", "already_decided", "outcome_unknown"),
)
def withdraw(job_id: uuid.UUID) -> Response:
    """Leaves the line; a mark, honoured when the request's turn comes. Too late, and the decision stands."""
    identity = current_identity()
    container = get_container()
    status = container.statuses.get(job_id, identity.subjects)
    if status.user_id != identity.user_id:
        raise NotFoundError("job_not_found")
    if status.kind not in LIMITED_KINDS:
        raise RefusedError("not_withdrawable")
    if not status.is_decided:
        if container.line.withdraw(job_id) == "marked":
            document = read_document(container, status)
            headers = {
                **NO_STORE,
                "Location": document["links"]["status"],
                "Retry-After": retry_after(document["eta_seconds"]),
            }
            return json_response(document, status=202, headers=headers)
        status = container.statuses.get(job_id, identity.subjects)
    raise RefusedError("already_decided", job=read_document(container, status))
