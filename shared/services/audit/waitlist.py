"""The waitlist entries and offers that a ledger made against the rows of `waitlist_entries` and `offers`."""

from collections.abc import Iterator
from typing import Any

from shared.domain.availability import SIZE_MAX
from shared.domain.findings import Finding
from shared.domain.replay import Replay
from shared.domain.snapshot import EntryState
from shared.domain.waitlist import OPEN, WAITING
from shared.services.audit.findings import Tally
from shared.services.audit.streams import ENTRY_COLUMNS, Row


def compare_waitlist(event: dict[str, Any], replay: Replay, rows: Iterator[Row], tally: Tally) -> None:
    """Compares one event's rows with `replay`, whose entries it uses up, and the event's counters with their sums."""
    waiting, offered = [0] * SIZE_MAX, 0
    for row in rows:
        tally.examined["waitlist"] += 1
        found = dict(zip(ENTRY_COLUMNS, row, strict=True))
        if found["status"] == WAITING:
            waiting[found["tickets"] - 1] += 1
        if found["offer_status"] == OPEN:
            offered += found["tickets"]
        _compare_entry(found, replay.entries.pop(found["id"], None), tally)
    place = {"event_id": event["id"]}
    tally.compare("event_counters", "sum of open offers", offered, event["offered"], **place)
    tally.compare("event_counters", "waiting entries by size", waiting, event["waiting"], **place)
    tally.compare("event_counters", "offered", replay.event.offered, event["offered"], **place)
    for entry in replay.entries.values():
        _add(
            tally,
            entry.event_id,
            entry.job_id,
            f"entry {entry.id}",
            f"{entry.status}, {entry.tickets} tickets",
            None,
        )


def _compare_entry(found: dict[str, Any], entry: EntryState | None, tally: Tally) -> None:
    place, name = (found["event_id"], found["job_id"]), f"entry {found['id']}"
    if entry is None:
        _add(tally, *place, name, None, f"{found['status']}, {found['tickets']} tickets")
        return
    expected = {
        "event_id": entry.event_id,
        "id": entry.id,
        "user_id": entry.user_id,
        "job_id": entry.job_id,
        "number": entry.number,
        "tickets": entry.tickets,
        "status": entry.status,
        "created_at": entry.created_at,
        "offer_id": None if entry.offer is None else entry.offer.id,
        "offer_status": None if entry.offer is None else entry.offer.status,
        "expires_at": None if entry.offer is None else entry.offer.expires_at,
    }
    for column, value in expected.items():
        if value != found[column]:
            _add(tally, *place, f"{name}: {column}", value, found[column])


def _add(tally: Tally, event_id: int, job_id: Any, what: str, expected: object, found: object) -> None:  # noqa: ANN401
    tally.add(
        Finding(check="waitlist", what=what, expected=expected, found=found, event_id=event_id, job_id=job_id)
    )
