"""What is due by PostgreSQL's clock: sales that have opened, offers that are about to expire."""

import uuid
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.domain.notifications import OFFER_EXPIRING

# Until somebody has analysed the tables the planner guesses, and may read one through to sort it.
_BY_INDEX: Final = text("set local enable_seqscan = off")

# `events_opening_idx` has those that nobody announced: as many as are still to open.
_DUE_OPENINGS: Final = text(
    """
select id from events
where sales_announced_at is null and status = 'scheduled' and deleted_at is null and sales_open_at <= now()
    and not sales_paused
order by sales_open_at, id limit :limit
"""
)
_ANNOUNCED: Final = text(
    """
update events set sales_announced_at = now()
where id = :id and sales_announced_at is null and status = 'scheduled' and deleted_at is null
    and sales_open_at <= now() and not sales_paused
returning id
"""
)

# Open ones by expiry, and whether the person has the notification, by its unique key.
_EXPIRING: Final = text(
    """
select o.id from offers o
where o.status = 'open' and o.expires_at > now() and o.expires_at <= now() + make_interval(secs => :notice)
    and o.expires_at - o.created_at > make_interval(secs => :notice)
    and not exists (
        select from notifications n where n.user_id = o.user_id and n.cause = :kind || ':' || o.id offset 0
    )
order by o.expires_at, o.id limit :limit
"""
)


def list_due_openings(session: Session, *, limit: int) -> list[int]:
    """Events whose sale has opened and was not announced, the longest open first. Two round trips."""
    session.execute(_BY_INDEX)
    return list(session.scalars(_DUE_OPENINGS, {"limit": limit}))


def mark_announced(session: Session, event_id: int) -> bool:
    """Marks the sale announced; False when it no longer is to be. One row, which it waits for and locks."""
    return session.scalar(_ANNOUNCED, {"id": event_id}) is not None


def list_expiring_offers(session: Session, *, notice_seconds: int, limit: int) -> list[uuid.UUID]:
    """Open offers that expire within so many seconds, lasted longer than that from the beginning, and whose holder
    was not told. Two round trips; reads the open offers that expire by then.
    """
    session.execute(_BY_INDEX)
    values = {"notice": notice_seconds, "limit": limit, "kind": OFFER_EXPIRING}
    return list(session.scalars(_EXPIRING, values))
