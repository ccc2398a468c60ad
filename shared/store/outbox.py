"""The outbox' rows: taking the next ones under a lock, deleting them, setting one aside; and how many wait."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.orm import Session

# Beyond this nobody needs the exact number, and counting costs.
COUNTED_MAX: Final = 100_000

# Until somebody has analysed the tables the planner guesses, and may read one through to sort it or to join it.
_PLAN: Final = text("set local enable_seqscan = off; set local jit = off")

_TAKE: Final = text(
    """
select id, topic, event_id, from_number, to_number, payload, created_at from outbox
where set_aside_at is null and topic = any(:topics) order by id limit :limit for update skip locked
"""
)
_DELETE: Final = text("delete from outbox where id = any(:ids)")
_SET_ASIDE: Final = text("update outbox set set_aside_at = now(), error = :error where id = :id")
_TRY_AGAIN: Final = text(
    """
with again as (
    update outbox set set_aside_at = null, error = null
    where id in (select id from outbox where set_aside_at is not null order by id limit :limit)
    returning 1
)
select count(*) from again
"""
)
_BACKLOG: Final = text(
    """
select (select count(*) from (select from outbox where set_aside_at is null limit :counted) w) as waiting,
    (select count(*) from (select from outbox where set_aside_at is not null limit :counted) s) as set_aside,
    coalesce((select extract(epoch from clock_timestamp() - created_at)
        from outbox where set_aside_at is null order by id limit 1), 0)::float8 as oldest_seconds
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message of the outbox. Topic `ledger` has a range of numbers, the others a payload."""

    id: int
    topic: str
    event_id: int | None
    from_number: int | None
    to_number: int | None
    payload: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What lies in the outbox: waiting to be told on, and set aside; both counted up to COUNTED_MAX."""

    waiting: int
    oldest_seconds: float
    set_aside: int


def take_messages(session: Session, topics: Collection[str], *, limit: int) -> list[Message]:
    """The oldest messages of these topics that nobody else holds, locked. Two round trips; reads what it returns
    and what others hold.
    """
    session.execute(_PLAN)
    rows = session.execute(_TAKE, {"topics": list(topics), "limit": limit})
    return [Message(**row) for row in rows.mappings()]


def delete_messages(session: Session, ids: Sequence[int]) -> None:
    """They are told. One round trip."""
    session.execute(_DELETE, {"ids": list(ids)})


def set_aside(session: Session, message_id: int, error: str) -> None:
    """It cannot be told: kept, and not taken again. One round trip."""
    session.execute(_SET_ASIDE, {"id": message_id, "error": error})


def try_again(session: Session, *, limit: int) -> int:
    """What was set aside is taken once more, the oldest first; returns how many. One round trip."""
    count: int = session.execute(_TRY_AGAIN, {"limit": limit}).scalar_one()
    return count


def look_at_backlog(session: Session) -> Backlog:
    """How much waits, and for how long. One round trip, whose cost COUNTED_MAX bounds."""
    row = session.execute(_BACKLOG, {"counted": COUNTED_MAX}).one()
    return Backlog(waiting=row.waiting, oldest_seconds=max(row.oldest_seconds, 0.0), set_aside=row.set_aside)
