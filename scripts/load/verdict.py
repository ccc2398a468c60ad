"""The verdict on a load test: a pure function of its history. Every check is one of the public promises."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from scripts.load.history import Attempt, Entry, History

# 503 problems that the contract names: the system says that it cannot now, and keeps its promises.
DECLARED_503: Final = frozenset(
    {"line_full", "line_unavailable", "accept_unknown", "database_unavailable", "overloaded"}
)
_NO_SPACE: Final = frozenset({"sold_out", "not_enough_left"})
# Kinds of ledger rows that may free tickets: a refusal before them says nothing about who comes after.
_FREEING: Final = frozenset({"event_set", "call_off_slice"})

QUESTIONS: Final = {
    "oversold": "oversold?",
    "lost": "lost?",
    "doubled": "doubled?",
    "inverted": "order inverted?",
    "errors": "undeclared errors?",
}


@dataclass(slots=True)
class Verdict:
    """Question → violations, each one sentence, and question → how many things were looked at."""

    violations: dict[str, list[str]] = field(default_factory=dict)
    examined: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Every promise was kept."""
        return not any(self.violations.values())


def judge(history: History) -> Verdict:
    """Judges a finished load test."""
    accepted = [attempt for attempt in history.attempts if attempt.accepted]
    violations = {
        "oversold": list(_oversold(history.ledger)),
        "lost": list(_lost(history, accepted)),
        "doubled": list(_doubled(history, accepted)),
        "inverted": [*_inverted(history, accepted), *_unfair(history.ledger), *_overtaken(accepted)],
        "errors": list(_errors(history)),
    }
    examined = {
        "oversold": len(history.ledger),
        "lost": len(accepted),
        "doubled": len(accepted),
        "inverted": len(accepted),
        "errors": len(history.attempts),
    }
    return Verdict(violations, examined)


def _oversold(ledger: list[Entry]) -> Iterator[str]:
    committed, capacity = 0, None
    for entry in ledger:
        if entry.kind == "event_set":
            capacity = entry.capacity
        elif entry.outcome == "confirmed":
            committed += entry.tickets
        elif entry.outcome == "cancelled" or entry.kind == "call_off_slice":
            committed -= entry.tickets
        if capacity is None:
            yield f"decision {entry.number}: no capacity was set before it"
            return
        if committed > capacity:
            yield f"decision {entry.number}: {committed} tickets committed of {capacity}"
        if entry.available_after != capacity - committed:
            yield f"decision {entry.number}: says {entry.available_after} are left, it is {capacity - committed}"


def _lost(history: History, accepted: list[Attempt]) -> Iterator[str]:
    decided = {entry.job_id for entry in history.ledger}
    for attempt in accepted:
        for job_id in attempt.job_ids:
            if job_id not in decided:
                yield f"request {attempt.index}: job {job_id} was accepted and is {_why(history, job_id)}"


def _why(history: History, job_id: str) -> str:
    return history.undecided.get(job_id, "not decided by the deadline")


def _doubled(history: History, accepted: list[Attempt]) -> Iterator[str]:
    users: dict[str, str] = {}
    for attempt in accepted:
        if len(set(attempt.job_ids)) > 1:
            yield f"request {attempt.index}: one Idempotency-Key, jobs {', '.join(attempt.job_ids)}"
        for job_id in set(attempt.job_ids):
            if job_id in users:
                yield f"request {attempt.index}: job {job_id} is another request's too"
            users[job_id] = attempt.user
    seen: set[str] = set()
    live: dict[str, str] = {}  # user → live booking
    holders: dict[str, str] = {}  # booking → user
    for entry in history.ledger:
        if entry.job_id in seen:
            yield f"decision {entry.number}: job {entry.job_id} is decided a second time"
        seen.add(entry.job_id)
        user = users.get(entry.job_id)
        if entry.outcome == "confirmed" and user is not None:
            if user in live:
                yield f"decision {entry.number}: user {user} has booking {live[user]} already"
            live[user] = entry.booking_id or entry.job_id
            holders[live[user]] = user
        elif entry.outcome == "cancelled" and entry.booking_id in holders:
            live.pop(holders[entry.booking_id], None)


def _inverted(history: History, accepted: list[Attempt]) -> Iterator[str]:
    number = arrival = 0
    arrivals: dict[str, int] = {}
    for entry in history.ledger:
        if entry.number != number + 1:
            yield f"decision {entry.number} follows {number}"
        number = entry.number
        if entry.arrival is None:
            continue
        if entry.arrival != arrival + 1:
            yield f"decision {entry.number}: arrival {entry.arrival} is decided after {arrival}"
        arrival = entry.arrival
        arrivals[entry.job_id] = entry.arrival
    for attempt in accepted:
        decided = arrivals.get(attempt.job_ids[0])
        if decided is not None and attempt.arrival is not None and decided != attempt.arrival:
            yield f"request {attempt.index}: was promised arrival {attempt.arrival}, decided as {decided}"


def _unfair(ledger: list[Entry]) -> Iterator[str]:
    """Nobody gets in who asks for no less than somebody refused for space before them, nothing freed between."""
    refused: Entry | None = None
    for entry in ledger:
        if entry.kind in _FREEING or entry.outcome == "cancelled":
            refused = None
        elif entry.outcome == "rejected" and entry.reason in _NO_SPACE:
            if refused is None or entry.tickets < refused.tickets:
                refused = entry
        elif entry.outcome == "confirmed" and refused is not None and entry.tickets >= refused.tickets:
            yield (
                f"decision {entry.number}: got {entry.tickets}, after decision {refused.number} was refused"
                f" {refused.tickets} ({refused.reason})"
            )


def _overtaken(accepted: list[Attempt]) -> Iterator[str]:
    """A request that was answered before another was sent arrived before it, over all connections."""
    known = [attempt for attempt in accepted if attempt.arrival is not None]
    answered = sorted(known, key=lambda attempt: attempt.answered_at)
    position, latest = 0, None
    for attempt in sorted(known, key=lambda attempt: attempt.sent_at):
        while position < len(answered) and answered[position].answered_at < attempt.sent_at:
            before = answered[position]
            if latest is None or (before.arrival or 0) > (latest.arrival or 0):
                latest = before
            position += 1
        if latest is not None and (latest.arrival or 0) > (attempt.arrival or 0):
            yield (
                f"request {attempt.index}: sent after request {latest.index} was accepted, but arrival"
                f" {attempt.arrival} is before {latest.arrival}"
            )


def _errors(history: History) -> Iterator[str]:
    for attempt in history.attempts:
        refused = attempt.status in (409, 429) and attempt.code
        unable = attempt.status == 503 and attempt.code in DECLARED_503
        if not attempt.error and (attempt.accepted or refused or unable):
            continue
        what = f"{attempt.status} {attempt.code}".strip() if attempt.status else "no answer"
        yield f"request {attempt.index}: {what}{': ' if attempt.error else ''}{attempt.error}"
    outcomes = {entry.job_id: entry.outcome for entry in history.ledger}
    for job_id, document in history.statuses.items():
        if job_id in outcomes and document.get("status") != outcomes[job_id]:
            yield f"job {job_id}: its status says {document.get('status')}, the ledger {outcomes[job_id]}"
