"""Nobody is refused for lack of tickets that are there, nobody gets tickets that are not, or that somebody before them
was refused or waits for.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from scripts.trials.evidence import Evidence
from scripts.trials.recount import Recount
from scripts.trials.sources.tables import Decision

_NO_SPACE: Final = frozenset({"sold_out", "not_enough_left"})


def fair(evidence: Evidence, seen: Counter[str]) -> Iterator[str]:
    """Judges every row by the sums before it."""
    for event_id, rows in evidence.tables.ledgers.items():
        count, refused = Recount(), None
        for row in rows:
            seen["ledger rows"] += 1
            for sentence in (*_judge(row, count), *_overtakes(row, count, refused)):
                yield f"event {event_id}, decision {row.number}: {sentence}"
            before = count.free
            held = count.by_offer(row)
            count.step(row)
            if count.free > before or row.kind == "event_set" or (_ends_a_place(row) and held is None):
                refused = None
            if _is_refused(row) and (refused is None or (row.tickets or 0) < (refused.tickets or 0)):
                refused = row


def _is_refused(row: Decision) -> bool:
    return row.outcome == "rejected" and row.reason in _NO_SPACE


def _ends_a_place(row: Decision) -> bool:
    """Who waits no more makes way: what was kept for them is public."""
    ends = row.outcome in ("confirmed", "done") and row.kind != "offer"
    return ends and ("entry_id" in row.facts or "ended" in row.facts)


def _judge(row: Decision, count: Recount) -> Iterator[str]:
    tickets = row.tickets or 0
    if row.kind == "offer":
        waiter = count.next_served()
        if waiter is None or waiter.id != row.facts.get("entry_id"):
            yield f"offers to {row.facts.get('entry_id')}; whose turn it is: {waiter.id if waiter else 'nobody'}"
    elif row.arrival is not None and row.outcome != "failed":
        if count.may_offer(row.decided_at) and (waiter := count.next_served()) is not None:
            yield f"decided while {count.free} tickets are free and entry {waiter.id} waits for {waiter.tickets}"
        if (_is_refused(row) or row.outcome == "waitlisted") and tickets <= count.available:
            yield f"finds no {tickets} tickets; {count.available} are available"
        if row.outcome == "confirmed" and count.by_offer(row) is None and tickets > count.available:
            yield f"gets {tickets} tickets; {count.available} are available"
        if row.reason == "tickets_available" and tickets > count.available:
            yield f"is told to book {tickets} tickets; {count.available} are available"


def _overtakes(row: Decision, count: Recount, refused: Decision | None) -> Iterator[str]:
    """By the rows alone, without what the sums say of who could get what."""
    if refused is None or (row.tickets or 0) < (refused.tickets or 0):
        return
    waiter = count.entries.get(row.facts.get("entry_id", ""))
    joined_later = row.kind == "offer" and waiter is not None and waiter.number > refused.number
    if joined_later or (row.outcome == "confirmed" and count.by_offer(row) is None):
        yield f"gets {row.tickets} tickets, and decision {refused.number} was refused {refused.tickets} before"
