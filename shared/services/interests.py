"""Asking to be told when an event's sale opens, and taking that back."""

from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.domain.events import DRAFT
from shared.domain.interests import check_interest
from shared.domain.permissions import Actor
from shared.errors import NotFoundError
from shared.models import Event, Interest
from shared.services.users import keep_open
from shared.store.clock import read_clock
from shared.store.events import EventRow


def add_interest(session: Session, event: EventRow, *, actor: Actor) -> datetime:
    """`actor`, who sees the event, will be told when its sale opens; since when they want that. Safe to repeat.

    Judged once before any lock, so that a crowd that comes too late locks nothing. Then the event's row is shared:
    whoever opens the sale finds this interest, or this finds the sale open. Raises RefusedError as `check_interest`,
    NotFoundError `event_not_found`.
    """
    _check(event, now=event.read_at)
    keep_open(session, actor.user_id)
    locked = session.get(Event, event.id, with_for_update={"read": True}, populate_existing=True)
    if locked is None or locked.deleted_at is not None or (locked.status == DRAFT != event.status):
        raise NotFoundError("event_not_found")
    _check(locked, now=read_clock(session))
    session.execute(
        insert(Interest).values(event_id=event.id, user_id=actor.user_id).on_conflict_do_nothing()
    )
    created_at: datetime = session.execute(
        select(Interest.created_at).where(Interest.event_id == event.id, Interest.user_id == actor.user_id)
    ).scalar_one()
    return created_at


def remove_interest(session: Session, *, event_id: int, user_id: int) -> bool:
    """Takes it back, whatever has become of the event; False when there was none. One round trip."""
    done = session.execute(delete(Interest).where(Interest.event_id == event_id, Interest.user_id == user_id))
    return cast("CursorResult[Any]", done).rowcount > 0


def _check(event: Event | EventRow, *, now: datetime) -> None:
    check_interest(
        status=event.status,
        sales_open_at=event.sales_open_at,
        sales_close_at=event.sales_close_at,
        sales_paused=event.sales_paused,
        now=now,
    )
