"""The ledger's row and its hash chain: anyone with the rows can recompute every hash.

hash = sha256(previous hash ‖ canonical JSON of the row without user_id and hash). Canonical JSON: UTF-8, keys
sorted, no spaces, instants UTC with six digits, ids as strings. The chain starts from 32 zero bytes.
"""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from shared.clock import rfc3339

GENESIS: Final = bytes(32)

# Control rows, slices and offers stand in the ledger between decisions; they have no arrival.
EVENT_SET: Final = "event_set"
CALL_OFF_SLICE: Final = "call_off_slice"
END_WAITLIST_SLICE: Final = "end_waitlist_slice"
DRAIN: Final = "drain"
OFFER: Final = "offer"


@dataclass(slots=True, kw_only=True)
class LedgerRow:
    """A row of `decisions`, column by column. `facts` holds JSON values only: no floats."""

    job_id: uuid.UUID
    event_id: int
    number: int
    arrival: int | None
    kind: str
    user_id: int | None
    tickets: int | None
    outcome: str
    reason: str | None
    booking_id: uuid.UUID | None
    available_after: int
    facts: dict[str, Any]
    accepted_at: datetime
    decided_at: datetime
    hash: bytes = b""


def canonical_json(row: LedgerRow) -> bytes:
    """The bytes that are hashed. orjson writes a UUID in its usual form, in less time than `str` takes."""
    return orjson.dumps(
        {
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
            "accepted_at": rfc3339(row.accepted_at),
            "decided_at": rfc3339(row.decided_at),
        },
        option=orjson.OPT_SORT_KEYS,
    )


def chain_hash(previous: bytes, row: LedgerRow) -> bytes:
    """The row's hash, given the hash of the row before it (GENESIS for number 1)."""
    return hashlib.sha256(previous + canonical_json(row)).digest()


def event_set_facts(
    *,
    capacity: int,
    max_per_booking: int,
    status: str,
    deleted: bool,
    starts_at: datetime,
    sales_open_at: datetime | None,
    sales_close_at: datetime,
    sales_paused: bool,
    price_minor: int,
    currency: str,
    waitlist_enabled: bool,
) -> dict[str, Any]:
    """The facts of an `event_set` row: every field of the event that a rule reads, after the change."""
    return {
        "capacity": capacity,
        "max_per_booking": max_per_booking,
        "status": status,
        "deleted": deleted,
        "starts_at": rfc3339(starts_at),
        "sales_open_at": None if sales_open_at is None else rfc3339(sales_open_at),
        "sales_close_at": rfc3339(sales_close_at),
        "sales_paused": sales_paused,
        "price_minor": price_minor,
        "currency": currency,
        "waitlist_enabled": waitlist_enabled,
    }
