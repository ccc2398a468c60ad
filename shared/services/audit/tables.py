"""The ledger against the tables, in one snapshot of the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from shared.domain.findings import Finding
from shared.domain.replay import Replay
from shared.services.audit.audit_log import compare_audit_log
from shared.services.audit.bookings import compare_bookings
from shared.services.audit.findings import Tally
from shared.services.audit.streams import (
    Row,
    ledger_row,
    read_json_fast,
    stream_bookings,
    stream_entries,
    stream_events,
    stream_ledger,
)
from shared.services.audit.waitlist import compare_waitlist

# What a rule reads of an event: the columns that `event_set` and `drain` rows record.
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
    "waitlist_enabled",
    "drained_up_to",
    "drained_until",
    "drain_reason",
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
    """Replays every ledger (or one event's) and compares with `events`, `bookings`, `waitlist_entries`,
    `offers` and `audit_log`.

    Some 20 µs a ledger row; memory of the bookings and entries of one event. `session` must be a
    `snapshot_transaction`.
    """
    read_json_fast(session)
    ledger, bookings = stream_ledger(session, event_id), stream_bookings(session, event_id)
    entries = stream_entries(session, event_id)
    for event in stream_events(session, event_id):
        tally.examined["event_fields"] += 1
        replay = _replay(event["id"], ledger.take(event["id"]), tally)
        _compare_event(event, replay, tally)
        compare_bookings(event["booked"], replay, bookings.take(event["id"]), tally)
        compare_waitlist(event, replay, entries.take(event["id"]), tally)
    streams = {"rules": ledger, "bookings": bookings, "waitlist": entries}
    for check, orphans in ((check, stream.drain()) for check, stream in streams.items()):
        for orphan in sorted(orphans):
            tally.add(Finding(check=check, what="event", expected="an event", found=None, event_id=orphan))
    compare_audit_log(session, event_id, tally)


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
        tally.notes["arrivals accepted at an earlier instant than the one before (clock steps)"] += (
            replay.overtakings
        )
    return replay


def _compare_event(event: dict[str, Any], replay: Replay, tally: Tally) -> None:
    state, place = replay.event, {"event_id": event["id"]}
    last_hash = bytes(event["last_hash"])
    tally.compare("event_head", "last_number", state.last_number, event["last_number"], **place)
    tally.compare("event_head", "last_hash", state.last_hash, last_hash, **place)
    tally.compare("event_head", "last_arrival", state.last_arrival, event["last_arrival"], **place)
    tally.compare("event_counters", "booked", state.booked, event["booked"], **place)
    taken = event["booked"] + event["offered"]
    if taken > event["capacity"]:
        at_most = f"at most {event['capacity']}"
        tally.add(Finding(check="oversell", what="booked + offered", expected=at_most, found=taken, **place))
    if replay.known:
        for name in EVENT_FIELDS:
            tally.compare("event_fields", name, getattr(state, name), event[name], **place)
    else:
        tally.compare("event_fields", "event_set", "a row", None, **place)
    if event["arrivals_reissued"]:
        tally.notes["arrivals reissued (Redis had lost acknowledged writes)"] += event["arrivals_reissued"]
