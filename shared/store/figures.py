"""What metrics and health ask PostgreSQL. Each question is bounded, whatever the size of the tables."""

from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, func, select, text
from sqlalchemy.orm import Session

from shared.models import Event, RefreshToken
from shared.store.batches import ADVISORY_CLASS

# Advisory locks are a database's own, and other installations may live on the same server.
_CLAIMED: Final = text(
    "select objid::int from pg_locks where locktype = 'advisory' and classid = :class and objsubid = 2 and granted"
    " and database = (select oid from pg_database where datname = current_database())"
).bindparams(bindparam("class", ADVISORY_CLASS))


def list_claimed(session: Session) -> set[int]:
    """Partitions that somebody holds. One look into the server's table of locks."""
    return set(session.scalars(_CLAIMED))


def count_log_ins(session: Session) -> int:
    """Families of tokens that can still be refreshed: each has exactly one unused token. An index of just those."""
    query = select(func.count()).where(RefreshToken.used_at.is_(None), RefreshToken.expires_at > func.now())
    return session.scalar(query) or 0


def list_slots(session: Session, *, limit: int) -> dict[int, int]:
    """Event → tickets left, of those on sale among the next `limit` that start. Reads `limit` rows by an index."""
    upcoming = (
        select(Event)
        .where(Event.deleted_at.is_(None), Event.starts_at > func.now())
        .order_by(Event.starts_at, Event.id)
        .limit(limit)
        .subquery()
    )
    columns = upcoming.c
    now: datetime = session.execute(select(func.now())).scalar_one()
    available = func.available_tickets(
        columns.capacity, columns.booked, columns.offered, columns.waitlist_enabled, columns.waiting
    )
    rows = session.execute(
        select(columns.id, available).where(
            columns.status == "scheduled",
            columns.sales_paused.is_(False),
            columns.sales_open_at.is_(None) | (columns.sales_open_at <= now),
            columns.sales_close_at > now,
        )
    )
    return {row[0]: row[1] for row in rows}
