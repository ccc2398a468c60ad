"""An answer once given stands: decided is decided for ever, in the same words everywhere; a place only gets nearer."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from scripts.trials.evidence import QUEUED, Evidence
from scripts.trials.history import Call
from scripts.trials.sources.tables import Decision

# What of a decided job every answer says, and the ledger too.
_FINAL = ("status", "reason", "facts", "decision_number", "arrival", "kind", "event_id")


def answers_stand(evidence: Evidence, seen: Counter[str]) -> Iterator[str]:
    """Holds everything that was ever said of a job against its ledger row, and against what was said before."""
    for job_id, calls in evidence.shown.items():
        seen["answers"] += len(calls)
        row = evidence.decided.get(job_id)
        for call in calls:
            if call.said["status"] != QUEUED:
                yield from _as_decided(job_id, call, row)
        yield from _never_undecided_again(evidence, job_id, calls)
        if row is None or row.event_id not in evidence.shaken:
            yield from _never_further_back(evidence, job_id, calls)


def _as_decided(job_id: str, call: Call, row: Decision | None) -> Iterator[str]:
    said = call.said
    if row is None:
        yield f"job {job_id}: was shown {said['status']}, and no ledger has a decision"
        return
    recorded: dict[str, Any] = {
        "status": row.outcome,
        "reason": row.reason,
        "facts": row.facts,
        "decision_number": row.number,
        "arrival": row.arrival,
        "kind": row.kind,
        "event_id": row.event_id,
    }
    for name in _FINAL:
        if name in said and said[name] != recorded[name]:
            yield f"job {job_id}: was shown {name} {said[name]}, the ledger has {recorded[name]}"
    if call.booking_id is not None and call.booking_id != row.booking_id:
        yield f"job {job_id}: was shown booking {call.booking_id}, the ledger has {row.booking_id}"


def _never_undecided_again(evidence: Evidence, job_id: str, calls: list[Call]) -> Iterator[str]:
    told = [call for call in calls if call.said["status"] != QUEUED]
    if not told:
        return
    first = min(told, key=lambda call: call.answered_at)
    for call in calls:
        again = call.said["status"] == QUEUED and call.sent_at > first.answered_at
        if again and not evidence.loss_between(first, call):
            seconds = call.sent_at - first.answered_at
            yield f"job {job_id}: was shown decided, and {seconds:.3f} s later undecided"


def _never_further_back(evidence: Evidence, job_id: str, calls: list[Call]) -> Iterator[str]:
    """Of calls that did not overlap, the later one shows no greater position."""
    placed = [call for call in calls if type(call.said.get("position")) is int]
    answered = sorted(placed, key=lambda call: call.answered_at)
    index, nearest = 0, None  # the call that showed the nearest place so far
    for call in sorted(placed, key=lambda call: call.sent_at):
        while index < len(answered) and answered[index].answered_at < call.sent_at:
            if nearest is None or answered[index].said["position"] < nearest.said["position"]:
                nearest = answered[index]
            index += 1
        if nearest is None or call.said["position"] <= nearest.said["position"]:
            continue
        if not evidence.loss_between(nearest, call):
            yield f"job {job_id}: was shown place {nearest.said['position']}, and later {call.said['position']}"
