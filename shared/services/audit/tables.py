"""The ledger against the tables, in one snapshot of the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from shared.domain.findings import Finding
from shared.domain.outcomes import CANCELLED
from shared.domain.replay import Replay
from shared.services.audit.findings import Tally
from shared.services.audit.streams import (
    BOOKING_COLUMNS,
    Row,
    ledger_row,
    read_json_fast,
    stream_bookings,
    stream_events,
    stream_ledger,
)

# What a rule reads of an event: the columns that `event_set` rows record.
EVENT_FIELDS: Final = (
    "capacity",
    "max_per_booking",
    "status",
    "deleted",
    "starts_at",
    "sales_open_at",
    "sales_close_at",
    "sales_paused",
    "price_minor",
    "currency",
)
_ROW_CHECKS: Final = ("rules", "oversell", "numbers", "arrivals", "chain", "clock")


@contextmanager
def snapshot_transaction(engine: Engine) -> Iterator[Session]:
    """One REPEATABLE READ, READ ONLY transaction: everything read in it stood at the same instant.

    Takes no lock that anybody waits for. No statement limit: an audit reads everything once.
    """
    with engine.connect() as connection:
        connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with Session(connection) as session, session.begin():
            session.execute(text("set local statement_timeout = 0"))
            session.execute(text("set local idle_in_transaction_session_timeout = '60s'"))
            yield session


def audit_tables(session: Session, tally: Tally, *, event_id: int | None = None) -> None:
    """Replays every ledger (or one event's) and compares with `events`, `bookings` and `audit_log`.

    Some 40 µs a ledger row; memory of the bookings of one event. `session` must be a `snapshot_transaction`.
    """
    read_json_fast(session)
    ledger, bookings = stream_ledger(session, event_id), stream_bookings(session, event_id)
    for event in stream_events(session, event_id):
        tally.examined["event_fields"] += 1
        replay = _replay(event["id"], ledger.take(event["id"]), tally)
        _compare_event(event, replay, tally)
        _compare_bookings(event, replay, bookings.take(event["id"]), tally)
    for check, orphans in (("rules", ledger.drain()), ("bookings", bookings.drain())):
        for orphan in sorted(orphans):
            tally.add(Finding(check=check, what="event", expected="an event", found=None, event_id=orphan))
    _compare_audit_log(session, event_id, tally)


def _replay(event_id: int, rows: Iterator[Row], tally: Tally) -> Replay:
    replay = Replay(event_id)
    for row in rows:
        for finding in replay.step(ledger_row(row)):
            tally.add(finding)
    for check in _ROW_CHECKS:
        tally.examined[check] += replay.rows
    if replay.open_slices:
        tally.notes["call-offs under way"] += 1
    if replay.overtakings:
        tally.notes["arrivals accepted at an earlier instant than the one before (clock steps)"] += replay.overtakings
    return replay


def _compare_event(event: dict[str, Any], replay: Replay, tally: Tally) -> None:
    state, place = replay.event, {"event_id": event["id"]}
    last_hash = bytes(event["last_hash"])
    tally.compare("event_head", "last_number", state.last_number, event["last_number"], **place)
    tally.compare("event_head", "last_hash", state.last_hash, last_hash, **place)
    tally.compare("event_head", "last_arrival", state.last_arrival, event["last_arrival"], **place)
    tally.compare("event_counters", "booked", state.booked, event["booked"], **place)
    if event["booked"] > event["capacity"]:
        at_most = f"at most {event['capacity']}"
        tally.add(Finding(check="oversell", what="events.booked", expected=at_most, found=event["booked"], **place))
    if replay.known:
        for name in EVENT_FIELDS:
            tally.compare("event_fields", name, getattr(state, name), event[name], **place)
    else:
        tally.compare("event_fields", "event_set", "a row", None, **place)
    if event["arrivals_reissued"]:
        tally.notes["arrivals reissued (Redis had lost acknowledged writes)"] += event["arrivals_reissued"]


def _compare_bookings(event: dict[str, Any], replay: Replay, rows: Iterator[Row], tally: Tally) -> None:
    """What is left of the replayed bookings when every row found its own is missing from the table."""
    event_id: int = event["id"]
    live_users: set[int] = set()
    live_tickets = 0
    for row in rows:
        _, booking_id, user_id, job_id, tickets, status, *_ = row
        tally.examined["bookings"] += 1
        tally.examined["one_live_booking"] += 1
        _compare_booking(event_id, replay, row, tally)
        if status == CANCELLED:
            continue
        live_tickets += tickets
        if user_id in live_users:
            found = f"user {user_id} also has {booking_id}"
            tally.add(_booking_finding("one_live_booking", event_id, job_id, "live bookings", "one a user", found))
        live_users.add(user_id)
    tally.compare("event_counters", "sum of live bookings", live_tickets, event["booked"], event_id=event_id)
    for booking in replay.bookings.values():
        what = f"booking {booking.id}"
        tally.add(Finding(check="bookings", what=what, expected=booking.status, found=None, event_id=event_id))


def _compare_booking(event_id: int, replay: Replay, row: Row, tally: Tally) -> None:
    _, booking_id, *values = row
    job_id = row[BOOKING_COLUMNS.index("job_id")]
    booking = replay.bookings.pop(booking_id, None)
    if booking is None:
        what = f"booking {booking_id}"
        tally.add(_booking_finding("bookings", event_id, job_id, what, None, f"{values[2]}, {values[1]} tickets"))
        return
    expected = [getattr(booking, name) for name in BOOKING_COLUMNS[2:]]
    if expected == values:
        return
    for name, wanted, value in zip(BOOKING_COLUMNS[2:], expected, values, strict=True):
        if wanted != value:
            what = f"booking {booking_id}: {name}"
            tally.add(_booking_finding("bookings", event_id, job_id, what, wanted, value))


def _booking_finding(  # noqa: PLR0913 - the fields of a finding
    check: str, event_id: int, job_id: Any, what: str, expected: object, found: object  # noqa: ANN401 - a UUID
) -> Finding:
    return Finding(check=check, what=what, expected=expected, found=found, event_id=event_id, job_id=job_id)


# Control rows of the ledger, each with the audit-log rows of its job id and event.
_UNLOGGED: Final = """
select d.event_id, d.number, d.job_id from decisions d
where d.kind = 'event_set' and (cast(:event as bigint) is null or d.event_id = :event) and not exists (
    select from audit_log a
    where a.job_id = d.job_id and a.target_type = 'event' and a.target_id = cast(d.event_id as text))
"""
# A call-off that still waits in the line has no ledger row yet; its control request stands for it.
_UNDONE: Final = """
select a.id, a.job_id, a.target_id from audit_log a
where a.job_id is not null and (cast(:event as bigint) is null or a.target_id = cast(:event as text))
    and not exists (select from decisions d where d.job_id = a.job_id)
    and not exists (select from control_requests c where c.job_id = a.job_id)
"""
_CONTROL_ROWS: Final = """
select count(*) from decisions where kind = 'event_set' and (cast(:event as bigint) is null or event_id = :event)
"""


def _compare_audit_log(session: Session, event_id: int | None, tally: Tally) -> None:
    parameters = {"event": event_id}
    tally.examined["audit_log"] += session.execute(text(_CONTROL_ROWS), parameters).scalar_one()
    for event, number, job_id in session.execute(text(_UNLOGGED), parameters):
        found = Finding(
            check="audit_log",
            what="audit_log row",
            expected="one",
            found=None,
            event_id=event,
            number=number,
            job_id=job_id,
        )
        tally.add(found)
    for entry_id, job_id, target in session.execute(text(_UNDONE), parameters):
        found = f"audit_log {entry_id} of {target}"
        tally.add(Finding(check="audit_log", what="ledger row", expected="one", found=found, job_id=job_id))
