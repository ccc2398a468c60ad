"""`/notifications`: what one is told; read, and marked read."""

import uuid
from collections.abc import Sequence
from typing import Any, Final

from flask import Blueprint, Response

from api.auth import require_actor
from api.container import get_container
from api.contract import Answer, describe
from api.paging import list_document, page_request
from api.parsing import load_body, load_query
from api.responses import NO_STORE, json_response
from api.schemas.notifications import (
    NOTIFICATION_SORTS,
    MarkedReadDocument,
    NotificationDocument,
    NotificationListDocument,
    NotificationListSchema,
    WaitlistNotificationListSchema,
    notification_document,
)
from api.schemas.requests import EmptySchema
from shared.db import transaction
from shared.domain.notifications import WAITLIST_KINDS
from shared.errors import NotFoundError
from shared.store.notifications import (
    count_unread,
    find_notification,
    list_notifications,
    mark_all_read,
    mark_read,
)

blueprint = Blueprint("notifications", __name__)

_LIST: Final = NotificationListSchema()
_WAITLIST: Final = WaitlistNotificationListSchema()
_EMPTY: Final = EmptySchema()

_TAG: Final = "Notifications"
_PAGE: Final = Answer("A page of them.", NotificationListDocument, headers=("Link", "Cache-Control"))


@blueprint.get("/notifications")
@describe(tag=_TAG, auth="user", query=NotificationListSchema, answers={200: _PAGE})
def list_own() -> Response:
    """Lists what the caller was told: unread first, then newest first."""
    query = load_query(_LIST)
    return _page(query, [query["kind"]] if "kind" in query else None)


@blueprint.get("/waitlist/notifications")
@describe(tag=_TAG, auth="user", query=WaitlistNotificationListSchema, answers={200: _PAGE})
def list_own_of_waitlists() -> Response:
    """Lists what the caller was told of waitlists: offers, and places near the head."""
    query = load_query(_WAITLIST)
    return _page(query, [query["kind"]] if "kind" in query else WAITLIST_KINDS)


@blueprint.post("/notifications/<uuid:notification_id>/read")
@describe(
    tag=_TAG,
    auth="user",
    path={"notification_id": "The notification's id."},
    body=EmptySchema,
    body_optional=True,
    answers={200: Answer("The notification as it is now.", NotificationDocument, headers=("Cache-Control",))},
    problems=("notification_not_found",),
)
def read(notification_id: uuid.UUID) -> Response:
    """Marks one read. Safe to repeat: it stays read since the first time."""
    load_body(_EMPTY)
    with transaction(get_container().engine) as session:
        actor = require_actor(session)
        mark_read(session, notification_id, user_id=actor.user_id)
        row = find_notification(session, notification_id, user_id=actor.user_id)
    if row is None:
        raise NotFoundError("notification_not_found")
    return json_response(notification_document(row), headers=NO_STORE)


@blueprint.post("/notifications/read-all")
@describe(
    tag=_TAG,
    auth="user",
    body=EmptySchema,
    body_optional=True,
    answers={200: Answer("How many were unread.", MarkedReadDocument, headers=("Cache-Control",))},
)
def read_all() -> Response:
    """Marks everything read that the caller was told until now."""
    load_body(_EMPTY)
    with transaction(get_container().engine) as session:
        actor = require_actor(session)
        marked = mark_all_read(session, actor.user_id)
    return json_response({"marked": marked}, headers=NO_STORE)


def _page(query: dict[str, Any], kinds: Sequence[str] | None) -> Response:
    asked = page_request(query, NOTIFICATION_SORTS, id_kind="uuid")
    with transaction(get_container().engine) as session:
        actor = require_actor(session)
        page = list_notifications(
            session, user_id=actor.user_id, kinds=kinds, unread=query.get("unread"), page=asked
        )
        unread = count_unread(session, actor.user_id)
    document, headers = list_document([notification_document(row) for row in page.rows], page, asked)
    return json_response({**document, "unread_count": unread}, headers={**headers, **NO_STORE})
