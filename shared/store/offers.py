"""Offers that are due: to end, because nobody accepted them, and to be made, because free tickets fit who waits. And
waitlists that are over.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.domain.requests import END_WAITLIST, SERVE_WAITLIST


@dataclass(frozen=True, slots=True)
class DueOffer:
    """An open offer whose time is over, and whose end nobody has asked for yet."""

    id: uuid.UUID
    event_id: int
    user_id: int


_DUE: Final = text("""
    select o.id, o.event_id, o.user_id from offers o
    where o.status = 'open' and o.expires_at <= :at and not exists (
        select from control_requests c
        where c.offer_id = o.id and c.kind = 'expire_offer' and c.decided_at is null
    )
    order by o.expires_at, o.id limit :limit
""")

# One step of the index for each event that somebody waits for, however long the lists are.
_WAITED_FOR: Final = """
    with recursive waited_for as (
        (select event_id from waitlist_entries where status = 'waiting' order by event_id limit 1)
        union all
        select (
            select w.event_id from waitlist_entries w where w.status = 'waiting' and w.event_id > v.event_id
            order by w.event_id limit 1
        ) from waited_for v where v.event_id is not null
    )
    select e.id from waited_for v join events e on e.id = v.event_id
    where not exists (  -- what was asked for and is undecided is on its way
        select from control_requests c
        where c.event_id = e.id and c.kind = :kind and c.decided_at is null
            and not exists (select from decisions d where d.job_id = c.job_id)
    )
"""

# Free tickets of which none are available fit somebody: see the function.
_LEFT_OUT: Final = text(f"""{_WAITED_FOR}
    and e.deleted_at is null and e.status = 'scheduled' and not e.sales_paused and e.waitlist_enabled
    and e.starts_at > now() and (e.sales_open_at is null or e.sales_open_at <= now())
    and e.capacity - e.booked - e.offered > 0
    and available_tickets(e.capacity, e.booked, e.offered, e.waitlist_enabled, e.waiting) = 0
    order by e.id limit :limit
""")
_STARTED: Final = text(f"{_WAITED_FOR} and e.starts_at <= now() order by e.id limit :limit")


def list_due_offers(session: Session, *, at: datetime, limit: int) -> Sequence[DueOffer]:
    """Open offers that had ended by `at`, the earliest first. One round trip, by the index of open offers."""
    return [DueOffer(*row) for row in session.execute(_DUE, {"at": at, "limit": limit})]


def list_events_to_serve(session: Session, *, limit: int) -> Sequence[int]:
    """Events with free tickets that fit somebody who waits. One round trip, one index look-up for each event that is
    waited for.
    """
    return session.scalars(_LEFT_OUT, {"kind": SERVE_WAITLIST, "limit": limit}).all()


def list_events_waited_for_in_vain(session: Session, *, limit: int) -> Sequence[int]:
    """Events that have started while somebody waits. As `list_events_to_serve`."""
    return session.scalars(_STARTED, {"kind": END_WAITLIST, "limit": limit}).all()
