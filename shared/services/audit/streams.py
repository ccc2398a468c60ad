"""Reading whole tables in the order of events, a bounded number of rows at a time."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import orjson
from psycopg2.extras import register_default_jsonb
from sqlalchemy.orm import Session

from shared.domain.ledger import LedgerRow

# Rows fetched in one round trip: some 2 MB of ledger.
FETCH_ROWS: Final = 2000

# In the order of LedgerRow's fields.
_LEDGER_COLUMNS: Final = ", ".join(LedgerRow.__slots__)
_EVENT_COLUMNS: Final = """
    id, capacity, booked, max_per_booking, status, deleted_at is not null as deleted, starts_at,
    sales_open_at, sales_close_at, sales_paused, price_minor, currency, last_number, last_hash, last_arrival,
    arrivals_reissued, drained_up_to, drained_until, drain_reason, waitlist_enabled, offered, waiting
"""
# Columns of `bookings` that the ledger also knows, named like BookingState's fields.
BOOKING_COLUMNS: Final = (
    "event_id",
    "id",
    "user_id",
    "job_id",
    "tickets",
    "status",
    "price_minor",
    "currency",
    "arrival",
    "created_at",
)

# An entry with its offer, if it had one.
ENTRY_COLUMNS: Final = (
    "event_id",
    "id",
    "user_id",
    "job_id",
    "number",
    "tickets",
    "status",
    "created_at",
    "offer_id",
    "offer_status",
    "expires_at",
)

Row = tuple[Any, ...]


class EventRows:
    """Rows sorted by event, handed out event by event; events that were never asked for are `orphans`."""

    def __init__(self, rows: Iterator[Row], *, event_column: int) -> None:
        self._rows = rows
        self._column = event_column
        self._held = next(rows, None)  # read, and not asked for yet
        self.orphans: set[int] = set()

    def take(self, event_id: int) -> Iterator[Row]:
        """The rows of `event_id`, which must grow from call to call."""
        while self._held is not None and self._held[self._column] <= event_id:
            row, self._held = self._held, next(self._rows, None)
            if row[self._column] == event_id:
                yield row
            else:
                self.orphans.add(row[self._column])

    def drain(self) -> set[int]:
        """The events of all rows that nobody asked for."""
        while self._held is not None:
            self.orphans.add(self._held[self._column])
            self._held = next(self._rows, None)
        return self.orphans


def stream_events(session: Session, event_id: int | None) -> Iterator[dict[str, Any]]:
    """Every event, hidden ones too, by id."""
    names = [part.split()[-1] for part in _EVENT_COLUMNS.split(",")]
    condition = "true" if event_id is None else "id = %(event)s"
    query = f"select {_EVENT_COLUMNS} from events where {condition} order by id"  # noqa: S608 - our own text
    rows = _stream(session, "events", query, event_id)
    for row in rows:
        yield dict(zip(names, row, strict=True))


def stream_ledger(session: Session, event_id: int | None) -> EventRows:
    """Every ledger row, by event and number; make a LedgerRow with `ledger_row`."""
    condition = "true" if event_id is None else "event_id = %(event)s"
    query = f"select {_LEDGER_COLUMNS} from decisions where {condition} order by event_id, number"  # noqa: S608 - our own text
    return EventRows(_stream(session, "ledger", query, event_id), event_column=1)


def stream_bookings(session: Session, event_id: int | None) -> EventRows:
    """Every booking, by event and id."""
    condition = "true" if event_id is None else "event_id = %(event)s"
    query = f"select {', '.join(BOOKING_COLUMNS)} from bookings where {condition} order by event_id, id"  # noqa: S608 - our own text
    return EventRows(_stream(session, "bookings", query, event_id), event_column=0)


def stream_entries(session: Session, event_id: int | None) -> EventRows:
    """Every waitlist entry with its offer, by event and id."""
    condition = "true" if event_id is None else "w.event_id = %(event)s"
    query = (
        "select w.event_id, w.id, w.user_id, w.job_id, w.number, w.tickets, w.status, w.created_at, o.id, o.status,"  # noqa: S608 - our own text
        " o.expires_at from waitlist_entries w left join offers o on o.entry_id = w.id"
        f" where {condition} order by w.event_id, w.id"
    )
    return EventRows(_stream(session, "entries", query, event_id), event_column=0)


def ledger_row(row: Row) -> LedgerRow:
    """The LedgerRow in a row of `stream_ledger`."""
    return LedgerRow(
        job_id=row[0],
        event_id=row[1],
        number=row[2],
        arrival=row[3],
        kind=row[4],
        user_id=row[5],
        tickets=row[6],
        outcome=row[7],
        reason=row[8],
        booking_id=row[9],
        available_after=row[10],
        facts=row[11],
        accepted_at=row[12],
        decided_at=row[13],
        hash=bytes(row[14]),
    )


def _stream(session: Session, name: str, query: str, event_id: int | None) -> Iterator[Row]:
    """Rows of a server-side cursor: neither side ever holds the table."""
    with closing(session.connection().connection.cursor(name=f"audit_{name}")) as cursor:
        cursor.execute(query, {"event": event_id})
        while rows := cursor.fetchmany(FETCH_ROWS):
            yield from rows


def read_json_fast(session: Session) -> None:
    """Makes this connection parse jsonb with orjson: a third of the time of a row."""
    register_default_jsonb(session.connection().connection.driver_connection, loads=orjson.loads)
