"""SQL of a batch about waitlists, on the worker's own connection.

Never the whole list: the oldest entries of each size, as many as the batch could free tickets for, and the entries of
those who ask. An event for which nobody waits and nothing is offered costs nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import orjson
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a type

from shared.clock import rfc3339
from shared.domain.requests import Request
from shared.domain.snapshot import EntryState, EventState, OfferState, Plan, Snapshot
from shared.domain.waitlist import OPEN, WAITING
from shared.domain.waitlist_heads import heads_wanted, line_up

# Index look-ups only; `offset 0` keeps the planner from turning them into joins over whole tables.
_COLUMNS: Final = """w.id, w.event_id, w.user_id, w.job_id, w.number, w.tickets, w.status, w.created_at,
    o.id, o.status, o.expires_at, o.created_at"""
_OFFER_OF: Final = "left join lateral (select * from offers o where o.entry_id = w.id offset 0) o on true"
_CONCERNED: Final = f"""select {_COLUMNS}
from (
    select w.id from unnest(%s::bigint[], %s::bigint[]) v (event_id, user_id), lateral (
        select w.id from waitlist_entries w
        where w.event_id = v.event_id and w.user_id = v.user_id and w.status in ('waiting', 'offered') offset 0
    ) w
    union select o.entry_id from unnest(%s::uuid[]) v (id), lateral (
        select o.entry_id from offers o where o.id = v.id offset 0
    ) o
    union select w.id from unnest(%s::bigint[], %s::int[], %s::int[]) v (event_id, tickets, entries), lateral (
        select w.id from waitlist_entries w
        where w.event_id = v.event_id and w.tickets = v.tickets and w.ended_at is null and w.status <> 'offered'
        order by w.number limit v.entries
    ) w
) ids, lateral (select * from waitlist_entries w where w.id = ids.id offset 0) w
{_OFFER_OF}"""  # noqa: S608 - constants only

_LIVE_OF_EVENT: Final = f"""select {_COLUMNS}
from (
    select * from waitlist_entries w
    where w.event_id = %s and w.status in ('waiting', 'offered') order by w.user_id limit %s
) w {_OFFER_OF}"""  # noqa: S608 - constants only

_END: Final = """update waitlist_entries w set status = r.status,
    ended_at = case when r.status in ('waiting', 'offered') then null else r.at end
from json_to_recordset(%s) as r (id uuid, status text, at timestamptz) where w.id = r.id"""

_JOIN: Final = """insert into waitlist_entries
    (id, event_id, user_id, job_id, number, tickets, status, created_at, ended_at)
select id, event_id, user_id, job_id, number, tickets, status, created_at,
    case when status in ('waiting', 'offered') then null else at end
from json_to_recordset(%s) as r (id uuid, event_id bigint, user_id bigint, job_id uuid, number bigint, tickets int,
    status text, created_at timestamptz, at timestamptz)"""

_END_OFFERS: Final = """update offers o set status = r.status, ended_at = r.at
from json_to_recordset(%s) as r (id uuid, status text, at timestamptz) where o.id = r.id"""

_OFFER: Final = """insert into offers
    (id, entry_id, event_id, user_id, tickets, status, expires_at, created_at, ended_at)
select id, entry_id, event_id, user_id, tickets, status, expires_at, created_at,
    case when status <> 'open' then at end
from json_to_recordset(%s) as r (id uuid, entry_id uuid, event_id bigint, user_id bigint, tickets int, status text,
    expires_at timestamptz, created_at timestamptz, at timestamptz)"""


def load_waitlists(cursor: Cursor, snapshot: Snapshot, requests: Sequence[Request]) -> None:
    """Puts into `snapshot` who of the requests' users waits or has an offer, whom the requests' offers are for, and
    whom to serve next. One round trip, none where there is no waitlist.
    """
    askers = [
        (request.event_id, request.user_id)
        for request in requests
        if request.user_id is not None and _has_waitlist(snapshot.events.get(request.event_id))
    ]
    offers = [str(request.offer_id) for request in requests if request.offer_id is not None]
    wanted = list(heads_wanted(snapshot, requests))
    if askers or offers or wanted:
        columns = [[each[column] for each in askers] for column in range(2)]
        heads = [[each[column] for each in wanted] for column in range(3)]
        cursor.execute(_CONCERNED, (*columns, offers, *heads))
        _remember(snapshot, cursor.fetchall())
    line_up(snapshot, {(event_id, tickets): entries for event_id, tickets, entries in wanted})


def load_live_entries(cursor: Cursor, snapshot: Snapshot, event_id: int, limit: int) -> list[EntryState]:
    """Up to `limit` entries of the event that wait or have an open offer. One round trip, none without a waitlist."""
    if not _has_waitlist(snapshot.events.get(event_id)):
        return []
    cursor.execute(_LIVE_OF_EVENT, (event_id, limit))
    return _remember(snapshot, cursor.fetchall())


def _has_waitlist(event: EventState | None) -> bool:
    return event is not None and (event.offered > 0 or any(event.waiting))


def _remember(snapshot: Snapshot, rows: Iterable[Sequence[Any]]) -> list[EntryState]:
    """Puts entries into the snapshot, one object an entry."""
    entries = []
    for row in rows:
        names = ("id", "event_id", "user_id", "job_id", "number", "tickets", "status", "created_at")
        entry = EntryState(**dict(zip(names, row[:8], strict=True)))
        if row[8] is not None:
            offer_id, status, expires_at, created_at = row[8:]
            entry.offer = OfferState(id=offer_id, status=status, expires_at=expires_at, created_at=created_at)
            snapshot.offered[entry.offer.id] = entry
        if entry.status == WAITING or (entry.offer is not None and entry.offer.status == OPEN):
            snapshot.entries[entry.event_id, entry.user_id] = entry
        entries.append(entry)
    return entries


def waitlist_statements(plan: Plan, now: datetime) -> Iterator[tuple[str, str]]:
    """What a plan wants written about waitlists: statements, each with its parameter. Entries are written as they
    ended, and those of before the batch first: who leaves and joins again in one batch has one live entry at every
    moment.
    """
    joined = {entry.id: entry for entry in plan.joined}
    moved = {entry.id: entry for entry in (*plan.offered, *(ended.entry for ended in plan.ended))}
    offered = {entry.id for entry in plan.offered}
    at = rfc3339(now)
    if before := [entry for entry in moved.values() if entry.id not in joined]:
        yield _END, _json({"id": entry.id, "status": entry.status, "at": at} for entry in before)
    if joined:
        yield _JOIN, _json({**_entry(entry), "at": at} for entry in joined.values())
    ended = [entry.offer for entry in moved.values() if entry.offer is not None and entry.id not in offered]
    if ended:
        yield _END_OFFERS, _json({"id": offer.id, "status": offer.status, "at": at} for offer in ended)
    if plan.offered:
        yield (
            _OFFER,
            _json(
                {**_offer(entry, entry.offer), "at": at} for entry in plan.offered if entry.offer is not None
            ),
        )


def _entry(entry: EntryState) -> dict[str, Any]:
    return {
        "id": entry.id,
        "event_id": entry.event_id,
        "user_id": entry.user_id,
        "job_id": entry.job_id,
        "number": entry.number,
        "tickets": entry.tickets,
        "status": entry.status,
        "created_at": rfc3339(entry.created_at),
    }


def _offer(entry: EntryState, offer: OfferState) -> dict[str, Any]:
    return {
        "id": offer.id,
        "entry_id": entry.id,
        "event_id": entry.event_id,
        "user_id": entry.user_id,
        "tickets": entry.tickets,
        "status": offer.status,
        "expires_at": rfc3339(offer.expires_at),
        "created_at": rfc3339(offer.created_at),
    }


def _json(records: Iterable[dict[str, Any]]) -> str:
    return orjson.dumps(list(records)).decode()
