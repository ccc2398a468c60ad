"""Whom a message concerns: the next people in the order of their ids, so that a fan-out goes on where it ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

# Everybody with a live booking and everybody who waits or has an offer, by the indexes of live ones.
HOLDERS: Final = "holders"
_HOLDERS: Final = text(
    """
select user_id from (
    (select user_id from bookings where event_id = :event_id and status <> 'cancelled' and user_id > :after
        order by user_id limit :limit)
    union
    (select user_id from waitlist_entries
        where event_id = :event_id and status in ('waiting', 'offered') and user_id > :after
        order by user_id limit :limit)
) h order by user_id limit :limit
"""
)
INTERESTED: Final = "interested"
_INTERESTED: Final = text(
    "select user_id from interests where event_id = :event_id and user_id > :after order by user_id limit :limit"
)
FOLLOWERS: Final = "followers"
_FOLLOWERS: Final = text(
    "select user_id from follows where host_id = (select host_id from events where id = :event_id)"
    " and user_id > :after order by user_id limit :limit"
)

# By PostgreSQL's clock. Published, not called off, not hidden, not over; and whether tickets can be had.
_EVENTS: Final = text(
    """
select id, is_public, is_public and not sales_paused and (sales_open_at is null or sales_open_at <= now())
    and sales_close_at > now() as is_on_sale
from (
    select *, status = 'scheduled' and deleted_at is null and ends_at > now() as is_public
    from events where id = any(:ids) offset 0
) e
"""
)

_AUDIENCES: Final[Mapping[str, TextClause]] = {
    HOLDERS: _HOLDERS,
    INTERESTED: _INTERESTED,
    FOLLOWERS: _FOLLOWERS,
}


@dataclass(frozen=True, slots=True)
class EventNow:
    """Whether telling of an event still makes sense."""

    id: int
    is_public: bool
    is_on_sale: bool


def look_at_events(session: Session, ids: Sequence[int]) -> list[EventNow]:
    """These events as they are now. One round trip."""
    return [EventNow(*row) for row in session.execute(_EVENTS, {"ids": list(ids)})]


def list_audience(session: Session, audience: str, event_id: int, *, after: int, limit: int) -> Sequence[int]:
    """User ids above `after`. One round trip; reads as many index entries as it returns."""
    values = {"event_id": event_id, "after": after, "limit": limit}
    return list(session.scalars(_AUDIENCES[audience], values))
