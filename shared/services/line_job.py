"""One job whole, for admins: from Redis and from the ledger, whichever still knows it."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Engine

from shared.clock import rfc3339, utc_now
from shared.db import transaction
from shared.domain.ledger import LedgerRow
from shared.domain.outcomes import FAILED, WITHDRAWN
from shared.domain.partitions import partition_of
from shared.domain.requests import KINDS
from shared.errors import UnavailableError
from shared.line.client import ScriptRunner
from shared.line.installation import Installation
from shared.line.jobs import FoundJob, find_job, read_place
from shared.services.line_jobs import FAILED as FAILURE_TEXT
from shared.services.line_jobs import JobEntry, make_entry, read_instant, read_payload
from shared.store.decisions import find_recorded

Step = Literal["accepted", "taken", "decided", "replied"]

UNDECIDED: Final = ("queued", "started")


@dataclass(frozen=True, slots=True)
class JobDetail:
    """A job with all that is known of it. `payload` and `worker` are what Redis still knows, `position` is its place
    among its event's undecided requests (1 = next), `steps` those whose time is known, `decision` its ledger row.
    """

    entry: JobEntry
    position: int | None
    payload: dict[str, Any] | None
    worker: str | None
    steps: Sequence[tuple[Step, str]]
    decision: LedgerRow | None


def find_job_detail(
    engine: Engine, runner: ScriptRunner, installation: Installation, job_id: uuid.UUID
) -> JobDetail | None:
    """The job, None when neither Redis nor the ledger knows it. Up to two round trips to Redis and one to PostgreSQL,
    in a transaction of its own. Raises LineUnavailableError when Redis does not answer and the ledger knows nothing.
    """
    found: FoundJob | None = None
    trouble: UnavailableError | None = None
    try:
        found = find_job(runner.redis, installation, job_id)
        detail = None if found is None else _of_line(runner, found)
    except UnavailableError as error:
        detail, trouble = None, error
    with transaction(engine) as session:
        recorded = find_recorded(session, job_id)
    row = None if recorded is None or recorded.row.kind not in KINDS else recorded.row
    if row is None:
        if trouble is not None:
            raise trouble
        return detail
    return _with_decision(detail, found, row, installation.partitions)


def _of_line(runner: ScriptRunner, found: FoundJob) -> JobDetail:
    payload = read_payload(found.raw.data)
    entry = make_entry(found.raw, found.partition, now=found.read_at, attempts=1)
    position, attempts = None, 1
    if entry.status in UNDECIDED and found.partition is not None and entry.event_id is not None:
        place = read_place(runner.redis, found.partition, entry.event_id)
        position = None if entry.arrival is None else max(entry.arrival - place.last_decided, 1)
        attempts = 0 if entry.status == "queued" else max(place.takers, 1)
    return JobDetail(
        entry=replace(entry, attempts=attempts),
        position=position,
        payload=payload or None,
        worker=found.worker,
        steps=_steps(accepted=found.raw.accepted_at, taken=found.taken_at),
        decision=None,
    )


def _with_decision(
    detail: JobDetail | None, found: FoundJob | None, row: LedgerRow, partitions: int
) -> JobDetail:
    """The ledger has the last word on what was decided; Redis knows when it was taken and replied."""
    age = ((found.read_at if found else utc_now()) - row.accepted_at).total_seconds()
    failed = row.outcome == FAILED
    # Committed and not yet replied: Redis still calls it undecided.
    status = detail.entry.status if detail and detail.entry.status else "failed" if failed else "finished"
    entry = JobEntry(
        id=str(row.job_id),
        partition=partition_of(row.event_id, partitions),
        kind=row.kind,
        event_id=row.event_id,
        user_id=row.user_id,
        tickets=row.tickets,
        arrival=row.arrival,
        status=status,
        withdrawn=detail.entry.withdrawn
        if detail
        else row.outcome == WITHDRAWN and row.reason == "withdrawn_by_user",
        accepted_at=rfc3339(row.accepted_at),
        age_seconds=round(max(age, 0.0), 3),
        attempts=max(detail.entry.attempts, 1) if detail else 1,
        error=FAILURE_TEXT if failed else None,
    )
    replied = found.ended_at if found and status not in UNDECIDED else None
    return JobDetail(
        entry=entry,
        position=None,
        payload=detail.payload if detail else None,
        worker=detail.worker if detail else None,
        steps=_steps(
            accepted=row.accepted_at,
            taken=found.taken_at if found else None,
            decided=row.decided_at,
            replied=replied,
        ),
        decision=row,
    )


def _steps(
    *,
    accepted: bytes | datetime | None,
    taken: bytes | None,
    decided: datetime | None = None,
    replied: bytes | None = None,
) -> list[tuple[Step, str]]:
    given: list[tuple[Step, bytes | datetime | None]] = [
        ("accepted", accepted),
        ("taken", taken),
        ("decided", decided),
        ("replied", replied),
    ]
    steps = []
    for step, at in given:
        instant = at if isinstance(at, datetime) else read_instant(at)
        if instant is not None:
            steps.append((step, rfc3339(instant)))
    return steps
