"""What Redis remembers is what the ledger and the clients know: results, keys, last arrivals."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator

from scripts.trials.evidence import Evidence
from scripts.trials.sources.line_keys import JobHash
from scripts.trials.sources.tables import Decision


def redis_agrees(evidence: Evidence, seen: Counter[str]) -> Iterator[str]:
    """Holds every decided job, every Idempotency-Key and every arrival counter in Redis against the ledger."""
    for job_id, job in evidence.line.jobs.items():
        seen["jobs"] += 1
        if job.status in ("finished", "failed") and job_id not in evidence.spoilt:
            yield from _result(job_id, job, evidence.decided.get(job_id))
    yield from _keys(evidence, seen)
    yield from _arrivals(evidence, seen)


def _result(job_id: str, job: JobHash, row: Decision | None) -> Iterator[str]:
    if row is None or job.result is None:
        yield f"job {job_id}: {job.status} in Redis, {'no result' if row else 'and no ledger has a decision'}"
        return
    booking = job.result.get("booking") or {}
    said = {
        "outcome": (job.result.get("outcome"), row.outcome),
        "reason": (job.result.get("reason"), row.reason),
        "facts": (job.result.get("facts"), row.facts),
        "number": (job.result.get("number"), row.number),
        "arrival": (job.result.get("arrival"), row.arrival),
        "available_after": (job.result.get("available_after"), row.available_after),
        "booking": (booking.get("id", row.booking_id), row.booking_id),
        "status": (job.status == "failed", row.outcome == "failed"),
        "event": (job.event_id, row.event_id),
        "user": (job.user_id, row.user_id),
        "kind": (job.kind, row.kind),
    }
    for name, (in_redis, in_ledger) in said.items():
        if in_redis != in_ledger:
            yield f"job {job_id}: {name} {in_redis} in Redis, {in_ledger} in the ledger"


def _keys(evidence: Evidence, seen: Counter[str]) -> Iterator[str]:
    """Both ways: what clients were told under a key, and what is remembered under it."""
    told: defaultdict[tuple[int, str], set[str]] = defaultdict(set)
    used: set[tuple[int, str]] = set()
    for call in evidence.calls:
        if call.key is None:
            continue
        name = call.user_id, hashlib.sha256(call.key.encode()).hexdigest()[:32]
        used.add(name)
        if job_id := call.said.get("job_id"):
            told[name] |= {job_id} if call.status < 500 else set()
    remembered = evidence.line.remembered
    for name, jobs in told.items():
        seen["keys"] += 1
        if remembered.get(name) not in jobs and not all(map(evidence.may_be_lost, jobs)):
            yield f"user {name[0]}: a key stands for {remembered.get(name)}; clients were told {', '.join(jobs)}"
    for name, job_id in remembered.items():
        row = evidence.decided.get(job_id)
        if name not in used:
            yield f"user {name[0]}: a key is remembered for job {job_id} that no client ever sent"
        elif row is None and not evidence.losses and job_id not in evidence.spoilt:
            yield f"user {name[0]}: a key stands for job {job_id}, and no ledger has a decision"
        elif row is not None and row.user_id != name[0]:
            yield f"user {name[0]}: a key stands for job {job_id} of user {row.user_id}"


def _arrivals(evidence: Evidence, seen: Counter[str]) -> Iterator[str]:
    given = {
        event_id: arrival
        for partition in evidence.line.partitions.values()
        for event_id, arrival in partition.arrivals.items()
    }
    for event in evidence.tables.events.values():
        seen["events"] += 1
        if event.last_arrival == given.get(event.id, 0) or evidence.losses or event.id in evidence.shaken:
            continue
        yield f"event {event.id}: Redis gave out {given.get(event.id)}, decided are {event.last_arrival}"
