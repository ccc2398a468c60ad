"""When the faults are over the line is empty within half a minute, and nothing of it stays behind in Redis."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from scripts.trials.evidence import Evidence
from scripts.trials.sources.line_keys import Partition

SECONDS_MAX: Final = 30.0


def line_empties(evidence: Evidence, seen: Counter[str]) -> Iterator[str]:
    """Looks at the trial's times, then at every list, set and counter of what is undecided."""
    trial = evidence.trial
    if trial is None:
        yield "nobody wrote down when the line was empty"
    elif trial.empty_at is None:
        yield "the line was never empty again"
    elif (seconds := trial.empty_at - max(trial.quiet_at, trial.loaded_until)) > SECONDS_MAX:
        yield f"the line was empty only {seconds:.1f} s after the last fault and the last request"
    for number, partition in evidence.line.partitions.items():
        seen["partitions"] += 1
        yield from (f"partition {number}: {sentence}" for sentence in _left(evidence, partition))
    for user_id, jobs in evidence.line.undecided.items():
        if left := jobs - evidence.spoilt:
            yield f"user {user_id}: {', '.join(sorted(left))} counted as undecided"
    for job_id, job in evidence.line.jobs.items():
        seen["jobs"] += 1
        if job.status not in ("finished", "failed") and job_id not in evidence.spoilt:
            yield f"job {job_id}: {job.status or 'unreadable'} in Redis"


def _left(evidence: Evidence, partition: Partition) -> Iterator[str]:
    for what in ("waiting", "in_flight", "started"):
        if left := getattr(partition, what):
            yield f"{len(left)} {what.replace('_', ' ')}: {', '.join(left[:5])}"
    for job_id in partition.lost:
        if job_id not in evidence.spoilt:
            yield f"job {job_id} was set aside as lost, and nothing had damaged it"
    for event_id, given in partition.arrivals.items():
        if given - partition.decided.get(event_id, 0) > 0:
            yield f"event {event_id}: {given} numbers given out, {partition.decided.get(event_id, 0)} decided"
    accepted, decided = partition.counters.get("accepted", 0), partition.counters.get("decided", 0)
    # A job that somebody else put in, or put in twice, is counted out as often as it is taken.
    tampered = sum(fault.kind.startswith("job:") for fault in evidence.faults)
    if abs(accepted - decided) > tampered and not evidence.losses:
        yield f"{accepted:.0f} requests counted in, {decided:.0f} out"
