"""No ledger row leaves more tickets booked and offered than there are, and each says truly what it leaves."""

from collections import Counter
from collections.abc import Iterator

from scripts.trials.evidence import Evidence
from scripts.trials.recount import Recount
from scripts.trials.sources.tables import Decision


def never_oversold(evidence: Evidence, seen: Counter[str]) -> Iterator[str]:
    """Sums up every ledger from its first row."""
    for event_id, rows in evidence.tables.ledgers.items():
        count = Recount()
        for row in rows:
            count.step(row)
            seen["ledger rows"] += 1
            if count.terms is None:
                yield f"event {event_id}, decision {row.number}: no capacity was set before it"
                break
            yield from _judge(row, count)


def _judge(row: Decision, count: Recount) -> Iterator[str]:
    where = f"event {row.event_id}, decision {row.number}"
    if count.free < 0 or count.booked < 0 or count.offered < 0:
        yield f"{where}: {count.booked} booked and {count.offered} offered, of {count.capacity}"
    if row.available_after != count.available:
        yield f"{where}: says {row.available_after} are left, it is {count.available}"
