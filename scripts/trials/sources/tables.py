"""PostgreSQL as it is when a trial is over: plain rows by plain SQL, in one snapshot.

Ids are text and instants RFC 3339 in UTC with six digits, so that they compare as text: no code of ours converts them.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import psycopg2

_FETCHED: Final = 5_000
_INSTANT: Final = """to_char({} at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


@dataclass(slots=True)
class Decision:
    """A ledger row."""

    job_id: str
    event_id: int
    number: int
    arrival: int | None
    kind: str
    user_id: int | None
    tickets: int | None
    outcome: str
    reason: str | None
    booking_id: str | None
    available_after: int
    facts: dict[str, Any]
    accepted_at: str
    decided_at: str
    hash: bytes


@dataclass(slots=True)
class EventRow:
    """An event's counters, limits and ledger head."""

    id: int
    capacity: int
    booked: int
    offered: int
    waiting: list[int]
    last_number: int
    last_hash: bytes
    last_arrival: int
    arrivals_reissued: int


@dataclass(slots=True)
class BookingRow:
    """A booking."""

    id: str
    event_id: int
    user_id: int
    job_id: str
    tickets: int
    status: str


@dataclass(slots=True)
class EntryRow:
    """A waitlist entry."""

    id: str
    event_id: int
    user_id: int
    job_id: str
    number: int
    tickets: int
    status: str


@dataclass(slots=True)
class OfferRow:
    """An offer."""

    id: str
    entry_id: str
    event_id: int
    user_id: int
    tickets: int
    status: str


@dataclass(slots=True)
class ControlRow:
    """A request that the control plane made."""

    job_id: str
    kind: str
    event_id: int
    offer_id: str | None


@dataclass(slots=True)
class Notification:
    """What somebody was told."""

    user_id: int
    kind: str
    cause: str


@dataclass(slots=True, kw_only=True)
class Tables:
    """Everything that the checker asks PostgreSQL for."""

    ledgers: dict[int, list[Decision]] = field(default_factory=dict)  # event → its rows by number
    events: dict[int, EventRow] = field(default_factory=dict)
    bookings: list[BookingRow] = field(default_factory=list)
    entries: list[EntryRow] = field(default_factory=list)
    offers: list[OfferRow] = field(default_factory=list)
    controls: list[ControlRow] = field(default_factory=list)
    audited: set[str] = field(
        default_factory=set
    )  # job ids that the audit log gives as a change's ledger row
    notifications: list[Notification] = field(default_factory=list)
    closed: set[int] = field(default_factory=set)  # accounts that were closed: nobody is told any more
    messages: list[str] = field(
        default_factory=list
    )  # what of decisions is still to be told on, or was set aside

    def decisions(self) -> Iterator[Decision]:
        """All rows, ledger by ledger."""
        for rows in self.ledgers.values():
            yield from rows


_DECISIONS: Final = f"""
select job_id::text, event_id, number, arrival, kind, user_id, tickets, outcome, reason, booking_id::text,
    available_after, facts::text, {_INSTANT.format("accepted_at")}, {_INSTANT.format("decided_at")}, hash
from decisions order by event_id, number
"""  # noqa: S608 - made of constants
_EVENTS: Final = """
select id, capacity, booked, offered, waiting, last_number, last_hash, last_arrival, arrivals_reissued from events
"""
_BOOKINGS: Final = "select id::text, event_id, user_id, job_id::text, tickets, status from bookings"
_ENTRIES: Final = (
    "select id::text, event_id, user_id, job_id::text, number, tickets, status from waitlist_entries"
)
_OFFERS: Final = "select id::text, entry_id::text, event_id, user_id, tickets, status from offers"
_CONTROLS: Final = "select job_id::text, kind, event_id, offer_id::text from control_requests"
_AUDITED: Final = "select job_id::text from audit_log where job_id is not null"
_NOTIFICATIONS: Final = "select user_id, kind, cause from notifications"
_CLOSED: Final = "select id from users where deleted_at is not null"
_MESSAGES: Final = """
select topic || coalesce(' of event ' || event_id || ', rows ' || from_number || ' to ' || to_number, '')
    || coalesce(': set aside, ' || error, '')
from outbox where topic = 'ledger' or set_aside_at is not null order by id
"""


def read_tables(url: str) -> Tables:
    """All of it, in one snapshot; `url` as libpq has it. 150,000 decisions take a second of one core and 250 MB."""
    with closing(psycopg2.connect(url)) as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        return read_snapshot(connection)


def read_snapshot(connection: "psycopg2.extensions.connection") -> Tables:
    """All that the transaction sees in which `connection` is."""
    tables = Tables()
    for row in _rows(connection, _DECISIONS):
        decision = Decision(*row)
        decision.facts, decision.hash = orjson.loads(row[11]), bytes(row[14])
        tables.ledgers.setdefault(decision.event_id, []).append(decision)
    for row in _rows(connection, _EVENTS):
        event = EventRow(*row)
        event.last_hash = bytes(event.last_hash)
        tables.events[event.id] = event
    tables.bookings = [BookingRow(*row) for row in _rows(connection, _BOOKINGS)]
    tables.entries = [EntryRow(*row) for row in _rows(connection, _ENTRIES)]
    tables.offers = [OfferRow(*row) for row in _rows(connection, _OFFERS)]
    tables.controls = [ControlRow(*row) for row in _rows(connection, _CONTROLS)]
    tables.audited = {row[0] for row in _rows(connection, _AUDITED)}
    tables.notifications = [Notification(*row) for row in _rows(connection, _NOTIFICATIONS)]
    tables.closed = {row[0] for row in _rows(connection, _CLOSED)}
    tables.messages = [row[0] for row in _rows(connection, _MESSAGES)]
    return tables


def _rows(connection: "psycopg2.extensions.connection", statement: str) -> Iterator[Sequence[Any]]:
    """A result that never lies in memory whole."""
    with connection.cursor("checker") as cursor:
        cursor.itersize = _FETCHED
        cursor.execute(statement)
        yield from cursor
