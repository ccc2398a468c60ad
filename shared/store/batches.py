"""SQL of a batch, on the worker's own psycopg2 connection: guard, load, write, commit.

Plain SQL with explicit locks, because the order of locks and the number of round trips are the point. The
session plans without sequential scans: on a database that was never analysed (a fresh install in its first
sell-out) joining a batch with `bookings` becomes a hash join over the whole table otherwise.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a type

from shared.clock import rfc3339
from shared.domain.ledger import LedgerRow
from shared.domain.requests import ACCEPT_OFFER, BOOK, CALL_OFF, JOIN_WAITLIST, Request
from shared.domain.snapshot import BookingState, EntryState, EventState, Plan, Snapshot, Terms
from shared.store.arrays import array, array_of_bytes, array_of_json
from shared.store.batch_waitlists import load_live_entries, load_waitlists, waitlist_statements

# Requests that may make a booking or an entry of their user's: whether the account is open, and what it has booked.
_BOOKS = frozenset({BOOK, JOIN_WAITLIST, ACCEPT_OFFER})

ADVISORY_CLASS = 4702  # namespace of the partitions' advisory locks

_GUARD = """begin;
select exists (
           select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid() and granted
           and classid = %s and objid = %s and objsubid = 2
       ),
       paused and (resume_at is null or resume_at > clock_timestamp())
from line_state for share"""

_EVENTS = """select id, capacity, booked, max_per_booking, status, deleted_at is not null, starts_at,
       sales_open_at, sales_close_at, sales_paused, price_minor, currency, last_number, last_hash, last_arrival,
       arrivals_reissued, drained_up_to, drained_until, drain_reason, offered, waitlist_enabled, waiting,
       last_decided_at
from events where id = any(%s) order by id for update"""

_EVENT_FIELDS = (
    "id", "capacity", "booked", "max_per_booking", "status", "deleted", "starts_at", "sales_open_at",
    "sales_close_at", "sales_paused", "price_minor", "currency", "last_number", "last_hash", "last_arrival",
    "arrivals_reissued", "drained_up_to", "drained_until", "drain_reason", "offered", "waitlist_enabled", "waiting",
    "last_decided_at",
)  # fmt: skip

# A user that does not exist counts as closed: a booking for it could not be written.
_NOW_AND_CLOSED = """select clock_timestamp(), coalesce(array_agg(v) filter (where not exists (
    select from users u where u.id = v and u.deleted_at is null offset 0)), '{}')
from unnest(%s::bigint[]) v"""

_BOOKING_COLUMNS = """b.id, b.event_id, b.user_id, b.job_id, b.tickets, b.status, b.reference, b.price_minor,
    b.currency, b.arrival, b.created_at"""
_BOOKING_FIELDS = (
    "id", "event_id", "user_id", "job_id", "tickets", "status", "reference", "price_minor", "currency", "arrival",
    "created_at",
)  # fmt: skip

_LIVE = f"""select {_BOOKING_COLUMNS}
from unnest(%s::bigint[], %s::bigint[]) v (event_id, user_id), lateral (
    select * from bookings b
    where b.event_id = v.event_id and b.user_id = v.user_id and b.status <> 'cancelled' offset 0
) b"""  # noqa: S608 - constants only

_BY_ID = f"select {_BOOKING_COLUMNS} from bookings b where b.id = any(%s::uuid[])"  # noqa: S608

_LIVE_OF_EVENT = f"""select {_BOOKING_COLUMNS} from bookings b
where b.event_id = %s and b.status <> 'cancelled' order by b.id limit %s"""  # noqa: S608

_RECORDED = f"""select d.job_id, d.event_id, d.number, d.arrival, d.kind, d.user_id, d.tickets, d.outcome, d.reason,
       d.booking_id, d.available_after, d.facts, d.accepted_at, d.decided_at, {_BOOKING_COLUMNS}
from decisions d left join bookings b on b.id = d.booking_id
where d.job_id = any(%s::uuid[])"""  # noqa: S608
_ROW_FIELDS = (
    "job_id", "event_id", "number", "arrival", "kind", "user_id", "tickets", "outcome", "reason", "booking_id",
    "available_after", "facts", "accepted_at", "decided_at",
)  # fmt: skip

# Arrays are opened in the select list, where a row at a time is made of them; opened in `from`, each is stored first.
_WRITE = """insert into decisions (job_id, event_id, number, arrival, kind, user_id, tickets, outcome, reason,
    booking_id, available_after, facts, accepted_at, decided_at, hash)
select unnest(%s::uuid[]), unnest(%s::bigint[]), unnest(%s::bigint[]), unnest(%s::bigint[]), unnest(%s::text[]),
    unnest(%s::bigint[]), unnest(%s::int[]), unnest(%s::text[]), unnest(%s::text[]), unnest(%s::uuid[]),
    unnest(%s::int[]), unnest(%s::jsonb[]), unnest(%s::timestamptz[]), unnest(%s::timestamptz[]), unnest(%s::bytea[]);
update events e set booked = r.booked, last_number = r.last_number, last_hash = decode(r.last_hash, 'hex'),
    last_arrival = r.last_arrival, arrivals_reissued = r.arrivals_reissued, offered = r.offered, waiting = r.waiting,
    last_decided_at = r.last_decided_at
from json_to_recordset(%s) as r (id bigint, booked int, last_number bigint, last_hash text, last_arrival bigint,
    arrivals_reissued bigint, offered int, waiting int[], last_decided_at timestamptz)
where e.id = r.id;
insert into outbox (topic, event_id, from_number, to_number)
select 'ledger', id, from_number, to_number
from json_to_recordset(%s) as r (id bigint, from_number bigint, to_number bigint)"""

_WRITE_BOOKINGS = """insert into bookings (id, reference, event_id, user_id, job_id, tickets, status, price_minor,
    currency, arrival, created_at, cancelled_at)
select unnest(%s::uuid[]), unnest(%s::text[]), unnest(%s::bigint[]), unnest(%s::bigint[]), unnest(%s::uuid[]),
    unnest(%s::int[]), unnest(%s::text[]), unnest(%s::bigint[]), unnest(%s::text[]), unnest(%s::bigint[]),
    unnest(%s::timestamptz[]), unnest(%s::timestamptz[])"""

_CANCEL_BOOKINGS = "update bookings set status = 'cancelled', cancelled_at = %s where id = any(%s::uuid[])"


@dataclass(frozen=True, slots=True)
class Guard:
    """What a batch's first statement found."""

    holds: bool
    paused: bool


def fetch_row(cursor: Cursor) -> tuple[Any, ...]:
    """The one row of a statement that always gives one."""
    row = cursor.fetchone()
    if row is None:
        raise LookupError("a statement that always gives a row gave none")
    return row


def begin(cursor: Cursor, partition: int) -> Guard:
    """Opens the transaction, checks that this very backend holds the partition, and reads the pause FOR SHARE:
    whoever pauses waits for running batches, and later ones see it. One round trip.
    """
    cursor.execute(_GUARD, (ADVISORY_CLASS, partition))
    holds, paused = fetch_row(cursor)
    return Guard(holds, paused)


def find_recorded(cursor: Cursor, job_ids: Sequence[str]) -> dict[str, tuple[LedgerRow, BookingState | None]]:
    """Those of `job_ids` that the ledger knows: they are not decided again. One round trip."""
    cursor.execute(_RECORDED, (list(job_ids),))
    recorded = {}
    for values in cursor.fetchall():
        row = LedgerRow(**dict(zip(_ROW_FIELDS, values[: len(_ROW_FIELDS)], strict=True)))
        rest = values[len(_ROW_FIELDS) :]
        recorded[str(row.job_id)] = (row, None if rest[0] is None else _booking(rest))
    return recorded


def lock_events(cursor: Cursor, event_ids: Iterable[int]) -> dict[int, EventState]:
    """Locks the events FOR UPDATE in id order (two batches can never wait for each other). One round trip."""
    cursor.execute(_EVENTS, (sorted(set(event_ids)),))
    events = {}
    for values in cursor.fetchall():
        fields = dict(zip(_EVENT_FIELDS, values, strict=True))
        fields["last_hash"] = bytes(fields["last_hash"])  # psycopg2 gives bytea as memoryview
        events[fields["id"]] = EventState(**fields)
    return events


def load(cursor: Cursor, requests: Sequence[Request], terms: Terms) -> tuple[Snapshot, datetime]:
    """Everything the rules may read about `requests`, with their events locked, and the time of the decision.

    Two to five round trips, index look-ups only, whatever the size of the tables.
    """
    snapshot = Snapshot(events=lock_events(cursor, (request.event_id for request in requests)), terms=terms)
    bookers = [request for request in requests if request.kind in _BOOKS]
    users = array([request.user_id for request in bookers])
    cursor.execute(_NOW_AND_CLOSED, (users,))
    clock, closed = fetch_row(cursor)
    now = _never_back(clock, snapshot)
    snapshot.closed_users.update(closed)
    if bookers:
        cursor.execute(_LIVE, (array([request.event_id for request in bookers]), users))
        _remember(snapshot, cursor.fetchall())
    load_waitlists(cursor, snapshot, requests)
    wanted = [request.booking_id for request in requests if request.booking_id is not None]
    if wanted:
        cursor.execute(_BY_ID, (wanted,))
        _remember(snapshot, cursor.fetchall())
    return snapshot, now


def load_slice(
    cursor: Cursor, request: Request, limit: int
) -> tuple[Snapshot, list[BookingState], list[EntryState], datetime]:
    """The event, locked, and up to `limit` each of what the request is to end: live bookings for a call-off, waitlist
    entries for that too, or when the event has started. Two to four round trips.
    """
    snapshot = Snapshot(events=lock_events(cursor, [request.event_id]))
    cursor.execute("select clock_timestamp()")
    now = _never_back(fetch_row(cursor)[0], snapshot)
    event = snapshot.events.get(request.event_id)
    called_off = request.kind == CALL_OFF
    bookings: list[BookingState] = []
    if called_off:
        cursor.execute(_LIVE_OF_EVENT, (request.event_id, limit))
        bookings = _remember(snapshot, cursor.fetchall())
    entries: list[EntryState] = []
    if called_off or (event is not None and now >= event.starts_at):
        entries = load_live_entries(cursor, snapshot, request.event_id, limit)
    return snapshot, bookings, entries, now


def _never_back(clock: datetime, snapshot: Snapshot) -> datetime:
    """The time of the decision: the clock's, unless that was set back, or a server with another one took over. The time
    in a ledger stands still then until the clock has caught up.
    """
    return max([clock, *(event.last_decided_at for event in snapshot.events.values())])


def _booking(values: Sequence[Any]) -> BookingState:
    return BookingState(**dict(zip(_BOOKING_FIELDS, values, strict=True)))


def _remember(snapshot: Snapshot, rows: Iterable[Sequence[Any]]) -> list[BookingState]:
    """Puts bookings into the snapshot, one object a booking, however often it was found."""
    bookings = []
    for values in rows:
        booking = snapshot.bookings.setdefault(values[0], _booking(values))
        if booking.status != "cancelled":
            snapshot.live[booking.event_id, booking.user_id] = booking
        bookings.append(booking)
    return bookings


def write(cursor: Cursor, snapshot: Snapshot, plan: Plan, now: datetime) -> None:
    """Writes ledger rows, bookings, waitlists and counters of a batch, and to whom it may concern where they stand
    (the outbox). One round trip.

    An array a column: one parameter to quote instead of one a value.
    """
    ranges: dict[int, tuple[int, int]] = {}
    for row in plan.rows:
        ranges[row.event_id] = (ranges.get(row.event_id, (row.number, 0))[0], row.number)
    statements = [_WRITE]
    parameters: list[Any] = [
        *_ledger_columns(plan.rows),
        _events_json(snapshot.events[event_id] for event_id in ranges),
        _ranges_json(ranges),
    ]
    # Cancelled first, and those made and cancelled in this batch inserted as they ended: a user who cancels and
    # books again in one batch has one live booking at every moment.
    made = {booking.id for booking in plan.made}
    if cancelled := [booking.id for booking in plan.cancelled if booking.id not in made]:
        statements.append(_CANCEL_BOOKINGS)
        parameters += (now, cancelled)
    if plan.made:
        statements.append(_WRITE_BOOKINGS)
        parameters += _booking_columns(plan.made)
    for statement, parameter in waitlist_statements(plan, now):
        statements.append(statement)
        parameters.append(parameter)
    cursor.execute(";\n".join(statements), parameters)


def _ranges_json(ranges: Mapping[int, tuple[int, int]]) -> str:
    return orjson.dumps(
        [
            {"id": event_id, "from_number": from_number, "to_number": to_number}
            for event_id, (from_number, to_number) in ranges.items()
        ]
    ).decode()


def _ledger_columns(rows: Sequence[LedgerRow]) -> list[str]:
    return [
        array([row.job_id for row in rows]),
        array([row.event_id for row in rows]),
        array([row.number for row in rows]),
        array([row.arrival for row in rows]),
        array([row.kind for row in rows]),
        array([row.user_id for row in rows]),
        array([row.tickets for row in rows]),
        array([row.outcome for row in rows]),
        array([row.reason for row in rows]),
        array([row.booking_id for row in rows]),
        array([row.available_after for row in rows]),
        array_of_json([row.facts for row in rows]),
        array([row.accepted_at for row in rows]),
        array([row.decided_at for row in rows]),
        array_of_bytes([row.hash for row in rows]),
    ]


def _booking_columns(made: Sequence[BookingState]) -> list[str]:
    return [
        array([booking.id for booking in made]),
        array([booking.reference for booking in made]),
        array([booking.event_id for booking in made]),
        array([booking.user_id for booking in made]),
        array([booking.job_id for booking in made]),
        array([booking.tickets for booking in made]),
        array([booking.status for booking in made]),
        array([booking.price_minor for booking in made]),
        array([booking.currency for booking in made]),
        array([booking.arrival for booking in made]),
        array([booking.created_at for booking in made]),
        array([booking.created_at if booking.status == "cancelled" else None for booking in made]),
    ]


def _events_json(events: Iterable[EventState]) -> str:
    return orjson.dumps(
        [
            {
                "id": event.id,
                "booked": event.booked,
                "last_number": event.last_number,
                "last_hash": event.last_hash.hex(),
                "last_arrival": event.last_arrival,
                "arrivals_reissued": event.arrivals_reissued,
                "offered": event.offered,
                "waiting": event.waiting,
                "last_decided_at": rfc3339(event.last_decided_at),
            }
            for event in events
        ]
    ).decode()
