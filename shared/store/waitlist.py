"""Reading the waitlist: who waits for what, at which place, and who has an offer. Only workers write it."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.domain.waitlist import ACCEPTED, DECLINED, EXPIRED, LEFT, OFFERED, OPEN, WAITING
from shared.store.paging import ListQuery, Page, PageRequest, fetch_page

ENTRY_STATUSES: Final = (WAITING, OFFERED, ACCEPTED, DECLINED, EXPIRED, LEFT)
LIVE_STATUSES: Final = (WAITING, OFFERED)
OFFER_STATUSES: Final = (OPEN, ACCEPTED, DECLINED, EXPIRED)

# How far a place is counted, from either end of the list: some 2.5 ms where all 100,000 of a list would be 14 to 27.
PLACES_MAX: Final = 10_000

COUNTED_MAX: Final = 100_000  # some 25 ms

# Who still waits when the event starts waits in vain, from that moment on; their rows say so a little later.
_WAITS: Final = "w.status = 'waiting' and e.starts_at > now()"
_IN_VAIN: Final = "w.status = 'waiting' and e.starts_at <= now()"
_COLUMNS: Final = f"""
    w.id, w.event_id, w.user_id, w.number, w.tickets, w.created_at,
    case when {_IN_VAIN} then 'expired' else w.status end as status,
    case when {_IN_VAIN} then e.starts_at else w.ended_at end as ended_at,
    o.id as offer_id, o.status as offer_status, o.expires_at as offer_expires_at, now() as read_at
"""
_CONDITIONS: Final = {
    WAITING: f"({_WAITS})",
    EXPIRED: f"(w.status = 'expired' or {_IN_VAIN})",
    **{status: f"w.status = '{status}'" for status in (OFFERED, ACCEPTED, DECLINED, LEFT)},
}

# `order by` keeps the planner to the index on places, whatever it thinks of the table. Counted from the other end only
# for whom the first count did not reach.
_PLACES: Final = text("""
select w.id, ahead.places as ahead, case when ahead.places = :more then (
    select count(*) from (
        select from waitlist_entries b where b.event_id = w.event_id and b.status = 'waiting' and b.number > w.number
        order by b.number limit :more
    ) b
) end as behind,
    (select coalesce(sum(entries), 0) from events e, unnest(e.waiting) entries where e.id = w.event_id) as length
from waitlist_entries w, lateral (
    select count(*) as places from (
        select from waitlist_entries a where a.event_id = w.event_id and a.status = 'waiting' and a.number < w.number
        order by a.number desc limit :more
    ) a
) ahead
where w.id = any(:ids)
""")

_OFFERED_USERS: Final = text(
    "select event_id, array_agg(user_id) from offers where status = 'open' and event_id = any(:event_ids)"
    " group by event_id"
)
# `order by` as above: each from an index that has just these rows.
_COUNTS: Final = text("""
select
    (select count(*) from (
        select from waitlist_entries where status = 'waiting' order by event_id, number limit :most) w) as waiting,
    (select count(*) from (
        select from offers where status = 'open' order by event_id, user_id limit :most) o) as offers_open,
    (select count(*) from (
        select from offers where status = 'open' and expires_at < now() order by expires_at, id limit :most
    ) o) as offers_overdue
""")
_HAS_PLACE: Final = text(
    "select exists (select from waitlist_entries"
    " where event_id = :event_id and user_id = :user_id and status in ('waiting', 'offered'))"
)
_OFFER: Final = text("select id, event_id, user_id, status from offers where id = :id")
_LENGTH: Final = text("""
select e.waitlist_enabled, e.offered,
    case when e.starts_at > now() then (select coalesce(sum(entries), 0) from unnest(e.waiting) entries) else 0 end
        as length
from events e where e.id = :event_id
""")


@dataclass(frozen=True, slots=True)
class Place:
    """A waiting entry's place on its list, 1 = next; not exact: this one or further behind."""

    position: int
    is_exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitlistLength:
    """What anybody may know of an event's waitlist: entries that wait, tickets in open offers."""

    waitlist_enabled: bool
    length: int
    offered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitlistCounts:
    """Of all events together, each counted to `COUNTED_MAX`: entries that wait, open offers, and those of them whose
    time is over.
    """

    waiting: int = 0
    offers_open: int = 0
    offers_overdue: int = 0


def list_entries_of_user(
    session: Session, *, user_id: int, status: str | None, page: PageRequest
) -> tuple[Page, dict[uuid.UUID, Place]]:
    """A page of the user's entries, each with event and offer, and the places of those that wait. Two round trips,
    three with a total.
    """
    query = ListQuery(
        columns=f"{_COLUMNS}, e.title, e.venue, e.starts_at",
        tables="waitlist_entries w join events e on e.id = w.event_id left join offers o on o.entry_id = w.id",
        conditions=["w.user_id = :user_id", *([_CONDITIONS[status]] if status else [])],
        parameters={"user_id": user_id},
        key="w.id",  # grows with time
        id="w.id",
    )
    found = fetch_page(session, query, page)
    return found, _find_places(session, [row["id"] for row in found.rows if row["status"] == WAITING])


def list_entries_of_event(
    session: Session, *, event_id: int, status: str, page: PageRequest
) -> tuple[Page, dict[uuid.UUID, Place]]:
    """A page of the event's live entries in one status, with who they are, in order of joining, and the places of
    those that wait. Two round trips, three with a total. Open offers are looked at all together: some 2 ms a thousand.
    """
    # each from the index that has just these; `offset 0` keeps the planner from reading who waits for who has an offer
    tables = (
        "waitlist_entries w left join offers o on o.entry_id = w.id"
        if status == WAITING
        else "offers o cross join lateral (select * from waitlist_entries w where w.id = o.entry_id offset 0) w"
    )
    conditions = [
        "w.event_id = :event_id",
        _CONDITIONS[status],
        *(["o.event_id = :event_id", "o.status = 'open'"] if status == OFFERED else []),
    ]
    query = ListQuery(
        columns=f"{_COLUMNS}, u.name as attendee_name, u.email as attendee_email",
        tables=f"{tables} join events e on e.id = w.event_id join users u on u.id = w.user_id",
        conditions=conditions,
        parameters={"event_id": event_id},
        key="w.number",
        id="w.id",
    )
    found = fetch_page(session, query, page)
    return found, _number(session, found.rows if status == WAITING else (), descending=page.descending)


def find_length(session: Session, event_id: int) -> WaitlistLength:
    """How long the waitlist of an event is that exists; nobody waits once it has started. One round trip."""
    return WaitlistLength(**session.execute(_LENGTH, {"event_id": event_id}).mappings().one())


def count_waitlists(session: Session) -> WaitlistCounts:
    """How many wait, and have offers. One round trip, of a bounded cost."""
    return WaitlistCounts(**session.execute(_COUNTS, {"most": COUNTED_MAX}).mappings().one())


def list_offered_users(session: Session, event_ids: Sequence[int]) -> dict[int, frozenset[int]]:
    """Who has an open offer, by event; the caller knows that they are few. One round trip."""
    rows = session.execute(_OFFERED_USERS, {"event_ids": list(event_ids)})
    return {event_id: frozenset(users) for event_id, users in rows}


def has_place(session: Session, *, event_id: int, user_id: int) -> bool:
    """Whether the user waits for the event or has an open offer. One round trip."""
    return bool(session.scalar(_HAS_PLACE, {"event_id": event_id, "user_id": user_id}))


def find_offer(session: Session, offer_id: uuid.UUID) -> dict[str, Any] | None:
    """Whose offer it is, of which event, and how it stands. One round trip."""
    row = session.execute(_OFFER, {"id": offer_id}).mappings().one_or_none()
    return None if row is None else dict(row)


def _number(
    session: Session, rows: Sequence[Mapping[str, Any]], *, descending: bool
) -> dict[uuid.UUID, Place]:
    """The places of rows that follow each other on one list: counted for the first of them only."""
    step = -1 if descending else 1
    first = _find_places(session, [row["id"] for row in rows[:1]])
    return {
        row["id"]: Place(max(1, place.position + step * index), place.is_exact)
        for place in first.values()
        for index, row in enumerate(rows)
    }


def _find_places(session: Session, entry_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Place]:
    """Where waiting entries stand. One round trip, whose cost is bounded for each, however long the lists are."""
    if not entry_ids:
        return {}
    rows = session.execute(_PLACES, {"ids": list(entry_ids), "more": PLACES_MAX + 1})
    return {row.id: _place(ahead=row.ahead, behind=row.behind, length=int(row.length)) for row in rows.all()}


def _place(*, ahead: int, behind: int | None, length: int) -> Place:
    if ahead <= PLACES_MAX:
        return Place(ahead + 1, is_exact=True)
    if behind is not None and behind <= PLACES_MAX:
        return Place(length - behind, is_exact=True)
    return Place(PLACES_MAX + 1, is_exact=False)
