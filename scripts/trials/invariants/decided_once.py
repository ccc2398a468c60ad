"""Whoever was told 202 got exactly one decision, on what they had asked; nobody hears that their own job never was."""

from collections import Counter
from collections.abc import Iterator

from scripts.trials.evidence import Evidence
from scripts.trials.history import Call
from scripts.trials.sources.tables import Decision

ASKS_FOR_TICKETS = ("book", "join_waitlist")


def decided_once(evidence: Evidence, seen: Counter[str]) -> Iterator[str]:
    """Looks up every job that an answer showed, and every row for a second decision."""
    yield from _decided_twice(evidence)
    for job_id, calls in evidence.shown.items():
        seen["accepted"] += 1
        row = evidence.decided.get(job_id)
        if row is None and evidence.may_be_lost(job_id):
            seen["lost where that was declared"] += 1
        elif row is None:
            yield f"job {job_id}: accepted for user {calls[0].user_id}, and no ledger has a decision"
        else:
            yield from _as_asked(row, calls)
            if row.outcome == "failed" and job_id not in evidence.spoilt:
                yield f"job {job_id}: failed, and nothing had damaged it"
    yield from _denied(evidence)


def _decided_twice(evidence: Evidence) -> Iterator[str]:
    for job_id, times in Counter(row.job_id for row in evidence.tables.decisions()).items():
        if times > 1:
            yield f"job {job_id} is decided {times} times"


def _as_asked(row: Decision, calls: list[Call]) -> Iterator[str]:
    """The decision is about what the first who was told of the job had asked for."""
    call = next((call for call in calls if call.action == row.kind), None)
    if call is None:
        return
    asked = (call.user_id, call.event_id or row.event_id)
    if asked != (row.user_id, row.event_id):
        yield f"job {row.job_id}: user {asked[0]} asked event {asked[1]}; decided for {row.user_id}, {row.event_id}"
    if row.kind in ASKS_FOR_TICKETS and call.tickets is not None and call.tickets != row.tickets:
        yield f"job {row.job_id}: asked for {call.tickets} tickets, decided about {row.tickets}"


def _denied(evidence: Evidence) -> Iterator[str]:
    """A job that was shown to its owner is not unknown to them later."""
    for call in evidence.calls:
        if call.status != 404 or call.spied or call.action != "status" or call.subject not in evidence.shown:
            continue
        told = min(other.answered_at for other in evidence.shown[call.subject])
        gone = evidence.may_be_lost(call.subject) and evidence.after_a_loss(call)
        if told < call.sent_at and not gone and call.subject not in evidence.spoilt:
            yield f"job {call.subject}: accepted, and later unknown to its owner {call.user_id}"
