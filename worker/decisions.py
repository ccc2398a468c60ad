"""What a transaction decided, as it is replied; and how fast a partition is being decided."""

import contextlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.domain.ledger import LedgerRow
from shared.domain.results import result_document
from shared.domain.snapshot import BookingState, Plan, Snapshot
from shared.ids import texts_of
from shared.line.reply import JobReply


@dataclass(slots=True)
class Rate:
    """Decisions a second of one partition while it is busy, the last few batches weighing most."""

    decisions: float = 0.0
    seconds: float = 0.0

    def note(self, decisions: int, seconds: float) -> float:
        """Adds a batch and returns the rate."""
        self.decisions = self.decisions * 0.9 + decisions
        self.seconds = self.seconds * 0.9 + seconds
        return self.decisions / max(self.seconds, 1e-6)


@dataclass(slots=True)
class Decisions:
    """What one transaction decided, ready to be replied."""

    jobs: list[JobReply] = field(default_factory=list)
    lost: dict[str, int | None] = field(default_factory=dict)  # id → whose, where known
    lost_request_ids: dict[str, str | None] = field(default_factory=dict)  # the same, where it could be read
    last_arrivals: dict[int, int] = field(default_factory=dict)
    last_given: dict[int, int] = field(default_factory=dict)  # the numbers that Redis had given to those
    reissued: int = 0  # requests that got another number than Redis had given them

    def add_recorded(
        self,
        recorded: Mapping[str, tuple[LedgerRow, BookingState | None]],
        request_ids: Mapping[str, str | None],
    ) -> None:
        """Adds what the ledger knew already, by job id."""
        for job_id, (row, booking) in recorded.items():
            self.jobs.append(_job_reply(job_id, row, booking, request_ids.get(job_id)))
            self.last_arrivals[row.event_id] = max(self.last_arrivals.get(row.event_id, 0), row.arrival or 0)

    def add_decided(self, plan: Plan, snapshot: Snapshot) -> None:
        """Adds what was decided on this snapshot, and committed."""
        job_ids = texts_of([decided.row.job_id for decided in plan.decided])
        for job_id, decided in zip(job_ids, plan.decided, strict=True):
            self.jobs.append(_job_reply(job_id, decided.row, decided.booking, decided.request.request_id))
        self.lost.update({str(request.job_id): request.user_id for request in plan.missing})
        self.lost_request_ids.update({str(r.job_id): r.request_id for r in plan.missing})
        self.last_arrivals.update({event.id: event.last_arrival for event in snapshot.events.values()})
        self.last_given.update({each.request.event_id: each.request.arrival for each in plan.decided})


def uuids_in(job_ids: Sequence[str]) -> list[str]:
    """Those that the ledger could know at all."""
    found = []
    for job_id in job_ids:
        with contextlib.suppress(ValueError):
            if str(uuid.UUID(job_id)) == job_id:
                found.append(job_id)
    return found


def _job_reply(job_id: str, row: LedgerRow, booking: BookingState | None, request_id: str | None) -> JobReply:
    # Two machines' clocks: what was decided cannot be before it was accepted.
    seconds = max((row.decided_at - row.accepted_at).total_seconds(), 0.0)
    return JobReply(job_id, row.user_id, result_document(row, booking), seconds, request_id)
