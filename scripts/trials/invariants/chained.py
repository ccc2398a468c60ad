"""Every ledger is one unbroken chain: anybody with its rows can recompute each hash, as the design says it is made."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator

from scripts.trials.evidence import Evidence
from scripts.trials.sources.tables import Decision


def chained(evidence: Evidence, seen: Counter[str]) -> Iterator[str]:
    """sha256(hash before ‖ JSON of the row without user_id and hash: keys sorted, no spaces), from 32 zero bytes."""
    for event_id, rows in evidence.tables.ledgers.items():
        before = bytes(32)
        for row in rows:
            seen["ledger rows"] += 1
            if hashlib.sha256(before + canonical(row)).digest() != row.hash:
                yield f"event {event_id}: decision {row.number} is not chained to the one before it"
            before = row.hash
        event = evidence.tables.events.get(event_id)
        if event is None or event.last_hash != before:
            yield f"event {event_id}: its head is not the hash of its last decision"


def canonical(row: Decision) -> bytes:
    """The bytes of a row that are hashed."""
    members = {
        "job_id": row.job_id,
        "event_id": str(row.event_id),
        "number": row.number,
        "arrival": row.arrival,
        "kind": row.kind,
        "tickets": row.tickets,
        "outcome": row.outcome,
        "reason": row.reason,
        "booking_id": row.booking_id,
        "available_after": row.available_after,
        "facts": row.facts,
        "accepted_at": row.accepted_at,
        "decided_at": row.decided_at,
    }
    return json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
