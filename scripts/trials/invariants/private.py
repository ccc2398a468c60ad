"""Nobody sees somebody else's job, and nobody is told that there is one."""

from collections import Counter
from collections.abc import Iterator

from scripts.trials.evidence import Evidence
from scripts.trials.invariants.declared import DECLARED_503


def private(evidence: Evidence, seen: Counter[str]) -> Iterator[str]:
    """Whoever pried was answered as if there were nothing; and no answer to anybody named another's decision."""
    for call in evidence.calls:
        if call.spied:
            seen["attempts"] += 1
            unable = call.status == 503 and call.code in DECLARED_503
            if not unable and call.status not in (0, 401, 404, 429):
                yield f"user {call.user_id} pried into {call.subject} and was answered {call.status} {call.code}"
            if call.said or call.booking_id is not None:
                yield f"user {call.user_id} was shown {call.subject} of somebody else"
    for job_id, calls in evidence.shown.items():
        row = evidence.decided.get(job_id)
        seen["jobs"] += 1
        for user_id in {call.user_id for call in calls}:
            if row is not None and row.user_id != user_id:
                yield f"user {user_id} was shown job {job_id} of user {row.user_id}"
