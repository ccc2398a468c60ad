"""`/auth/export`: everything that belongs to the caller, as one JSON file, made while it is sent."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import orjson
from flask import Blueprint, Response

from api.auth import require_actor
from api.container import get_container
from api.contract import Answer, describe
from api.schemas.account_export import (
    AccountExportDocument,
    log_in_document,
    membership_document,
    own_decision_document,
    own_interest_document,
    own_waitlist_entry_document,
    undecided_document,
)
from api.schemas.audit_log import audit_log_document
from api.schemas.bookings import booking_document
from api.schemas.events import event_document
from api.schemas.follows import follow_document
from api.schemas.notifications import notification_document
from api.schemas.users import user_document
from api.streaming import download, each_page
from shared.clock import rfc3339
from shared.db import Engine, Session, transaction
from shared.services.requests import list_undecided
from shared.services.users import get_user
from shared.store.account_export import (
    list_decided,
    list_hosted_events,
    list_log_ins,
    list_memberships,
    list_own_interests,
    list_waitlist_entries,
)
from shared.store.audit_log import AuditLogFilter, list_audit_log
from shared.store.bookings import list_bookings
from shared.store.clock import read_clock
from shared.store.events import make_event_row
from shared.store.follows import list_following
from shared.store.notifications import list_notifications
from shared.store.paging import Page, PageRequest

blueprint = Blueprint("account_export", __name__)

Reader = Callable[[Session, int, PageRequest], Page]


def _bookings(session: Session, user_id: int, page: PageRequest) -> Page:
    page = PageRequest(sort="created_at", limit=page.limit, after=page.after)
    return list_bookings(session, user_id=user_id, event_id=None, status=None, upcoming_only=False, page=page)


# In the order of AccountExportDocument: each list, how it is read and how a row of it is written.
_LISTS: Final[Mapping[str, tuple[Reader, Callable[[Mapping[str, Any]], dict[str, Any]]]]] = {
    "requests": (lambda s, user_id, page: list_decided(s, user_id=user_id, page=page), own_decision_document),
    "bookings": (_bookings, booking_document),
    "waitlist": (
        lambda s, user_id, page: list_waitlist_entries(s, user_id=user_id, page=page),
        own_waitlist_entry_document,
    ),
    "organizations": (
        lambda s, user_id, page: list_memberships(s, user_id=user_id, page=page),
        membership_document,
    ),
    "events": (
        lambda s, user_id, page: list_hosted_events(s, user_id=user_id, page=page),
        lambda row: event_document(make_event_row(row)),
    ),
    "interests": (
        lambda s, user_id, page: list_own_interests(s, user_id=user_id, page=page),
        own_interest_document,
    ),
    "following": (
        lambda s, user_id, page: list_following(s, user_id=user_id, page=page),
        lambda row: follow_document(
            host_id=row["host_id"], host_name=row["host_name"], created_at=row["created_at"]
        ),
    ),
    "notifications": (
        lambda s, user_id, page: list_notifications(s, user_id=user_id, kinds=None, unread=None, page=page),
        notification_document,
    ),
    "log_ins": (lambda s, user_id, page: list_log_ins(s, user_id=user_id, page=page), log_in_document),
    "audit_log": (
        lambda s, user_id, page: list_audit_log(s, AuditLogFilter(actor_id=user_id), page),
        audit_log_document,
    ),
}


@blueprint.get("/auth/export")
@describe(
    tag="Accounts",
    auth="user",
    answers={
        200: Answer(
            "The file. An answer that breaks off is not complete.",
            AccountExportDocument,
            headers=("Cache-Control", "Content-Disposition"),
        )
    },
    problems=("user_not_found", "line_unavailable"),
)
def export() -> Response:
    """Exports all of the caller's own data: what the account has, asked for, was told and did."""
    container = get_container()
    with transaction(container.engine) as session:
        actor = require_actor(session)
        profile = user_document(get_user(session, actor.user_id, actor=actor))
        now = read_clock(session)
    undecided = [
        undecided_document(status)
        for status in list_undecided(container.line, actor.user_id)
        if not status.is_decided
    ]
    head = {"exported_at": rfc3339(now), "profile": profile, "undecided_requests": undecided}
    return download(
        _file(container.engine, actor.user_id, head),
        content_type="application/json",
        file_name=f"guichet-account-{actor.user_id}.json",
    )


def _file(engine: Engine, user_id: int, head: dict[str, Any]) -> Iterator[bytes]:
    """The document in pieces: the head's members, then each list page by page."""
    yield orjson.dumps(head)[:-1]
    for name, (read, document) in _LISTS.items():
        yield f',"{name}":['.encode()
        separator = b""
        for rows in each_page(engine, lambda s, page, read=read: read(s, user_id, page)):  # type: ignore[misc]
            if rows:
                yield separator + b",".join(orjson.dumps(document(row)) for row in rows)
                separator = b","
        yield b"]"
    yield b"}\n"
