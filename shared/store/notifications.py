"""Notifications: writing each once for each person and cause, reading one's own, and whom a message concerns."""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.domain.notifications import Notice
from shared.ids import first_uuid7, uuid7
from shared.store.paging import ListQuery, Page, PageRequest, fetch_page

# One recordset: psycopg2 would adapt six lists element by element. In the order of person and cause: two drainers with
# the same notices wait for each other instead of for ever.
_INSERT: Final = text(
    """
insert into notifications (id, user_id, kind, cause, event_id, payload)
select v.id, v.user_id, v.kind, v.cause, v.event_id, v.payload
from json_to_recordset(:rows) v (id uuid, user_id bigint, kind text, cause text, event_id bigint, payload jsonb)
where exists (select from users u where u.id = v.user_id and u.deleted_at is null offset 0)
order by v.user_id, v.cause
on conflict (user_id, cause) do nothing
"""
)

_COLUMNS: Final = """
    n.id, n.kind, n.event_id, n.payload, n.created_at, n.read_at, e.title, e.venue, e.starts_at, e.time_zone,
    h.name as host_name
"""
_TABLES: Final = "notifications n join events e on e.id = n.event_id join users h on h.id = e.host_id"

_MARK: Final = text(
    "update notifications set read_at = now() where id = :id and user_id = :user_id and read_at is null"
)
_MARK_ALL: Final = text(
    "with marked as (update notifications set read_at = now() where user_id = :user_id and unread = 1 returning 1)"
    " select count(*) from marked"
)
# Their ids begin with the instant at which they were made.
_PRUNE: Final = text(
    "with old as (delete from notifications where id = any(array("
    "select id from notifications where id < :bound order by id limit :limit)) returning 1) select count(*) from old"
)
_COUNT_UNREAD: Final = text("select count(*) from notifications where user_id = :user_id and unread = 1")


def insert_notices(session: Session, notices: Sequence[Notice]) -> None:
    """Writes those that the person does not have yet; none for closed accounts. One round trip."""
    if not notices:
        return
    rows = [
        {
            "id": uuid7(),
            "user_id": notice.user_id,
            "kind": notice.kind,
            "cause": notice.cause,
            "event_id": notice.event_id,
            "payload": notice.facts,
        }
        for notice in notices
    ]
    session.execute(_INSERT, {"rows": orjson.dumps(rows).decode()})


def list_notifications(
    session: Session, *, user_id: int, kinds: Collection[str] | None, unread: bool | None, page: PageRequest
) -> Page:
    """A page of the user's notifications, unread ones first, each part newest first; None does not filter. One
    round trip, two with a total. An index has them in this order.
    """
    conditions = ["n.user_id = :user_id"]
    parameters: dict[str, Any] = {"user_id": user_id}
    if unread is not None:
        conditions.append("n.unread = :unread")
        parameters["unread"] = int(unread)
    if kinds is not None:
        conditions.append("n.kind = any(:kinds)")
        parameters["kinds"] = list(kinds)
    query = ListQuery(
        columns=_COLUMNS,
        tables=_TABLES,
        conditions=conditions,
        parameters=parameters,
        key="n.unread",
        id="n.id",
    )
    return fetch_page(session, query, page)


def find_notification(session: Session, notification_id: uuid.UUID, *, user_id: int) -> dict[str, Any] | None:
    """The user's notification, in the columns of the list. One row."""
    statement = f"select {_COLUMNS} from {_TABLES} where n.id = :id and n.user_id = :user_id"  # noqa: S608 - our own text
    row = (
        session.execute(text(statement), {"id": notification_id, "user_id": user_id}).mappings().one_or_none()
    )
    return None if row is None else dict(row)


def count_unread(session: Session, user_id: int) -> int:
    """The user's unread notifications. One round trip; reads as many index entries."""
    count: int = session.execute(_COUNT_UNREAD, {"user_id": user_id}).scalar_one()
    return count


def mark_read(session: Session, notification_id: uuid.UUID, *, user_id: int) -> None:
    """Marks it read now, unless it is read or somebody else's. One row."""
    session.execute(_MARK, {"id": notification_id, "user_id": user_id})


def mark_all_read(session: Session, user_id: int) -> int:
    """Marks everything unread of the user; returns how many. One round trip."""
    marked: int = session.execute(_MARK_ALL, {"user_id": user_id}).scalar_one()
    return marked


def prune_notifications(session: Session, *, days: int, limit: int) -> int:
    """Deletes up to `limit` notifications older than so many days by PostgreSQL's clock; returns how many. Two round
    trips; by the primary key.
    """
    instant: datetime = session.execute(
        text("select now() - make_interval(days => :days)"), {"days": days}
    ).scalar_one()
    bound = first_uuid7(int(instant.timestamp() * 1000))
    deleted: int = session.execute(_PRUNE, {"bound": bound, "limit": limit}).scalar_one()
    return deleted
