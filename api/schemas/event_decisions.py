"""The public ledger's documents."""

from collections.abc import Mapping
from typing import Any

from shared.clock import rfc3339
from shared.store.events import EventRow


def decision_document(row: Mapping[str, Any]) -> dict[str, Any]:
    """A ledger row: everything its hash covers, without the user."""
    return {
        "job_id": str(row["job_id"]),
        "number": row["number"],
        "arrival": row["arrival"],
        "kind": row["kind"],
        "tickets": row["tickets"],
        "outcome": row["outcome"],
        "reason": row["reason"],
        "booking_id": None if row["booking_id"] is None else str(row["booking_id"]),
        "available_after": row["available_after"],
        "facts": row["facts"],
        "accepted_at": rfc3339(row["accepted_at"]),
        "decided_at": rfc3339(row["decided_at"]),
        "hash": bytes(row["hash"]).hex(),
    }


def head_document(event: EventRow) -> dict[str, Any]:
    """The newest row's number and hash: whoever keeps it can tell later that nothing before it changed."""
    return {"number": event.last_number, "hash": event.last_hash.hex()}
