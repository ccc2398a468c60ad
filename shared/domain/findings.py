"""What an audit found: the check that failed, the exact row, what was expected and what is there."""

import uuid
from dataclasses import dataclass
from typing import Any, Final

# check → the sentence that is true when the check passes. The order is the report's.
CHECKS: Final[dict[str, str]] = {
    "rules": "every decision follows from the ledger rows before it",
    "oversell": "booked and offered never exceed capacity",
    "numbers": "ledger numbers run 1…last without a hole",
    "arrivals": "arrivals run 1…last and are decided in that order",
    "chain": "every hash chains to the row before",
    "clock": "decided_at never goes back",
    "event_head": "events hold their ledger's last number, hash and arrival",
    "event_counters": "events.booked, offered and waiting are the sums of their rows",
    "event_fields": "events say what their last event_set and drain rows say",
    "bookings": "bookings are those that the ledger made and cancelled",
    "one_live_booking": "one live booking per user and event",
    "waitlist": "waitlist entries and offers are those that the ledger made",
    "audit_log": "every control row has its audit-log row, and the reverse",
    "line_status": "what Redis says of decided requests is what the ledger says",
    "line_waiting": "nothing that waits in the line is decided already",
    "line_counters": "Redis' arrival counters are neither behind the ledger nor ahead of it",
    "line_in_flight": "RQ's started registry lists what is in flight",
    "line_users": "who waits is counted among its user's undecided requests",
    "line_keys": "every Idempotency-Key stands for a request that is known",
    "line_revocations": "the line knows whose tokens no longer count",
    "lost": "no accepted request was set aside as lost",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong. `number` and `job_id` name the ledger row where there is one."""

    check: str
    what: str
    expected: Any
    found: Any
    event_id: int | None = None
    number: int | None = None
    job_id: uuid.UUID | None = None
