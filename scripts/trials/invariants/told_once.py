"""Everybody concerned is told of each decision once, and nobody of one that was not made."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from scripts.trials.evidence import Evidence
from scripts.trials.sources.tables import Decision

# Kinds of notifications that follow from ledger rows alone; the others follow from instants, too.
_OF_DECISIONS: Final = frozenset(
    {"booking_confirmed", "booking_cancelled", "offer_made", "offer_expired", "event_called_off"}
)


def told_once(evidence: Evidence, seen: Counter[str]) -> Iterator[str]:
    """Works out from the ledger who had to be told of what, and compares; nothing may be left to tell."""
    for message in evidence.tables.messages:
        yield f"a message is not told on: {message}"
    told = Counter((notice.user_id, notice.cause) for notice in evidence.tables.notifications)
    due = set(_due(evidence))
    seen["due"] += len(due)
    seen["notifications"] += len(evidence.tables.notifications)
    for (user_id, cause), times in told.items():
        if times > 1:
            yield f"user {user_id} was told {times} times: {cause}"
        if cause.partition(":")[0] in _OF_DECISIONS and (user_id, cause) not in due:
            yield f"user {user_id} was told {cause}, which did not happen to them"
    for user_id, cause in due - told.keys():
        if user_id not in evidence.tables.closed:
            yield f"user {user_id} was not told: {cause}"


def _due(evidence: Evidence) -> Iterator[tuple[int, str]]:
    holders = {booking.id: booking.user_id for booking in evidence.tables.bookings}
    holders |= {entry.id: entry.user_id for entry in evidence.tables.entries}
    for row in evidence.tables.decisions():
        for user_id, cause in _of_row(row, holders):
            if user_id is not None:
                yield user_id, cause


def _of_row(row: Decision, holders: dict[str, int]) -> Iterator[tuple[int | None, str]]:
    if row.outcome in ("confirmed", "cancelled"):
        yield holders.get(row.booking_id or ""), f"booking_{row.outcome}:{row.job_id}"
    elif row.kind == "offer":
        yield row.user_id, f"offer_made:{row.job_id}"
    elif row.kind == "expire_offer" and row.outcome == "done":
        yield row.user_id, f"offer_expired:{row.job_id}"
    elif row.kind == "call_off_slice":
        for name in (*row.facts.get("cancelled", ()), *row.facts.get("ended", ())):
            yield holders.get(name), f"event_called_off:{row.event_id}"
