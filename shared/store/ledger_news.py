"""What ranges of ledger rows say that somebody has to be told of; and who moved up on a waitlist by them."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.domain.notifications import WAITLIST_STEPS

# Refusals, and what only the rules care about, never leave the database.
_NEWS: Final = text(
    """
select d.event_id, d.job_id, d.kind, d.user_id, d.tickets, d.outcome, d.booking_id, d.facts, d.decided_at,
    b.user_id as booking_user_id, b.tickets as booking_tickets, b.reference
from unnest(cast(:events as bigint[]), cast(:lows as bigint[]), cast(:highs as bigint[])) v (event_id, low, high)
    cross join lateral (
        select * from decisions
        where event_id = v.event_id and number between v.low and v.high
            and outcome in ('confirmed', 'cancelled', 'done') and kind <> 'event_set' offset 0
    ) d
    left join lateral (select user_id, tickets, reference from bookings where id = d.booking_id offset 0) b on true
order by d.event_id, d.number
"""
)
_BOOKINGS: Final = text(
    "select b.id, b.user_id, b.tickets from unnest(cast(:ids as uuid[])) v (id),"
    " lateral (select id, user_id, tickets from bookings where id = v.id offset 0) b"
)
_ENTRIES: Final = text(
    "select w.id, w.user_id, w.tickets from unnest(cast(:ids as uuid[])) v (id),"
    " lateral (select id, user_id, tickets from waitlist_entries where id = v.id offset 0) w"
)

# Behind the first entry that ended, everybody has moved up. Only who is near the head is told.
_MOVED: Final = text(
    """
select m.event_id, w.id as entry_id, w.user_id, w.place
from (
        select l.event_id, min(l.number) as number from unnest(cast(:ids as uuid[])) v (id),
            lateral (select event_id, number from waitlist_entries where id = v.id offset 0) l
        group by l.event_id
    ) m
    cross join lateral (
        select f.id, f.user_id, f.number, row_number() over (order by f.number) as place from (
            select id, user_id, number from waitlist_entries
            where event_id = m.event_id and status = 'waiting' order by number limit :places
        ) f
    ) w
    cross join lateral (select status, starts_at from events where id = m.event_id offset 0) e
where w.number > m.number and e.status = 'scheduled' and e.starts_at > now()
"""
)
_OPEN_OFFERS: Final = text(
    """
select o.id, o.entry_id, o.event_id, o.user_id, o.tickets, o.expires_at
from unnest(cast(:ids as uuid[])) v (id), lateral (select * from offers where id = v.id offset 0) o
where o.status = 'open' and o.expires_at > now()
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerNews:
    """A row of the ledger, and of its booking whose it is, where there is one."""

    event_id: int
    job_id: uuid.UUID
    kind: str
    user_id: int | None
    tickets: int | None
    outcome: str
    booking_id: uuid.UUID | None
    facts: Mapping[str, Any]
    decided_at: datetime
    booking_user_id: int | None
    booking_tickets: int | None
    reference: str | None


@dataclass(frozen=True, slots=True)
class Holding:
    """A booking or a waitlist entry: whose, and how many tickets."""

    id: uuid.UUID
    user_id: int
    tickets: int


@dataclass(frozen=True, slots=True)
class Moved:
    """Somebody who waits and has moved up, and to which place."""

    event_id: int
    entry_id: uuid.UUID
    user_id: int
    place: int


@dataclass(frozen=True, slots=True)
class OpenOffer:
    """An offer that can still be accepted."""

    id: uuid.UUID
    entry_id: uuid.UUID
    event_id: int
    user_id: int
    tickets: int
    expires_at: datetime


def read_news(session: Session, ranges: Sequence[tuple[int, int, int]]) -> list[LedgerNews]:
    """The rows of these ranges (event, first and last number) that were not refused, in order. One round trip; reads
    the rows of the ranges and no other.
    """
    rows = session.execute(
        _NEWS,
        {
            "events": [event_id for event_id, _, _ in ranges],
            "lows": [low for _, low, _ in ranges],
            "highs": [high for _, _, high in ranges],
        },
    )
    return [LedgerNews(**row) for row in rows.mappings()]


def list_bookings_by_id(session: Session, ids: Collection[str]) -> list[Holding]:
    """Whose bookings these are. One round trip."""
    return [Holding(*row) for row in session.execute(_BOOKINGS, {"ids": list(ids)})] if ids else []


def list_entries_by_id(session: Session, ids: Collection[str]) -> list[Holding]:
    """Whose waitlist entries these are. One round trip."""
    return [Holding(*row) for row in session.execute(_ENTRIES, {"ids": list(ids)})] if ids else []


def list_moved(session: Session, ended: Collection[str]) -> list[Moved]:
    """Who is near the head of a waitlist and has moved up because these entries wait no more; only of events that
    are still to come. One round trip; reads ten entries an event.
    """
    if not ended:
        return []
    values = {"ids": list(ended), "places": WAITLIST_STEPS[-1]}
    return [Moved(*row) for row in session.execute(_MOVED, values)]


def list_open_offers(session: Session, ids: Collection[str]) -> list[OpenOffer]:
    """Those of these offers that can still be accepted, by PostgreSQL's clock. One round trip."""
    return [OpenOffer(*row) for row in session.execute(_OPEN_OFFERS, {"ids": list(ids)})] if ids else []
