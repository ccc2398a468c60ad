"""What happened in a load test: what was sent and answered, and what the public ledger says."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One booking request, with every repetition under its Idempotency-Key. Instants: seconds of one clock.

    `status` 0: never answered. `error`: what was wrong with an answer. `job_ids`: every id that a 202 under this
    key named; one, or the key is broken.
    """

    index: int
    user: str
    key: str
    tickets: int
    due_at: float = 0.0
    sent_at: float = 0.0
    answered_at: float = 0.0
    status: int = 0
    code: str = ""
    job_ids: list[str] = field(default_factory=list)
    arrival: int | None = None
    repeats: int = 0
    error: str = ""

    @property
    def accepted(self) -> bool:
        """It was answered 202: a promise."""
        return bool(self.job_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A row of the public ledger, as far as the verdict reads it."""

    number: int
    arrival: int | None
    job_id: str
    kind: str
    tickets: int
    outcome: str
    reason: str | None
    booking_id: str | None
    capacity: int | None
    available_after: int
    accepted_at: datetime
    decided_at: datetime


@dataclass(slots=True)
class History:
    """Everything that a verdict is formed from. `statuses`: job → status document, of a sample.

    `undecided`: why each accepted job that the ledger does not know is thought to be undecided.
    """

    attempts: list[Attempt] = field(default_factory=list)
    ledger: list[Entry] = field(default_factory=list)
    statuses: dict[str, dict[str, Any]] = field(default_factory=dict)
    undecided: dict[str, str] = field(default_factory=dict)
