"""What a load test tells: latencies, rates, the verdict table, the JSON document."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from scripts.load.history import History
from scripts.load.verdict import QUESTIONS, Verdict

_SHOWN: Final = 5
_KEPT: Final = 100


def percentiles(seconds: Sequence[float]) -> dict[str, float] | None:
    """p50, p95, p99 (nearest rank) and max, in milliseconds; None of nothing."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    ranks = {f"p{rank}": ordered[max(0, -(-rank * len(ordered) // 100) - 1)] for rank in (50, 95, 99)}
    return {name: round(value * 1000, 2) for name, value in (ranks | {"max": ordered[-1]}).items()}


def report_document(history: History, verdict: Verdict, *, open_loop: bool) -> dict[str, Any]:
    """The whole report as JSON values.

    Accept latency: from sending to the 202, or, in an open loop, from when the request was due: a generator
    that lags behind must not hide the waiting. Decision latency: the ledger's own instants.
    """
    accepted = [attempt for attempt in history.attempts if attempt.accepted and attempt.status]
    ours = {job_id for attempt in accepted for job_id in attempt.job_ids}
    entries = [entry for entry in history.ledger if entry.job_id in ours]
    starts = [attempt.due_at if open_loop else attempt.sent_at for attempt in accepted]
    accept = [attempt.answered_at - start for attempt, start in zip(accepted, starts, strict=True)]
    decide = [(entry.decided_at - entry.accepted_at).total_seconds() for entry in entries]
    answers = Counter(
        f"{attempt.status} {attempt.code}".strip() if attempt.status else "no answer"
        for attempt in history.attempts
    )
    fired = [attempt for attempt in history.attempts if attempt.sent_at]
    seconds = max((a.answered_at for a in fired), default=0.0) - min((a.sent_at for a in fired), default=0.0)
    instants = [entry.decided_at for entry in entries]
    deciding = (max(instants) - min(instants)).total_seconds() if instants else 0.0
    return {
        "ok": verdict.ok,
        "verdict": {
            name: {
                "ok": not verdict.violations[name],
                "examined": verdict.examined[name],
                "count": len(verdict.violations[name]),
                "violations": verdict.violations[name][:_KEPT],
            }
            for name in QUESTIONS
        },
        "requests": len(history.attempts),
        "accepted": len(accepted),
        "decided": len(entries),
        "repeats": sum(attempt.repeats for attempt in history.attempts),
        "answers": dict(answers.most_common()),
        "outcomes": dict(Counter(f"{e.outcome} {e.reason or ''}".strip() for e in entries).most_common()),
        "confirmed_tickets": sum(entry.tickets for entry in entries if entry.outcome == "confirmed"),
        "accept_latency_ms": percentiles(accept),
        "decision_latency_ms": percentiles(decide),
        "late_ms": percentiles([max(0.0, a.sent_at - a.due_at) for a in fired]) if open_loop else None,
        "seconds": round(seconds, 3),
        "accepts_per_second": round(len(accepted) / seconds, 1) if seconds > 0 else None,
        "decided_per_second": round(len(entries) / deciding, 1) if deciding > 0 else None,
    }


def show_report(console: Console, document: dict[str, Any]) -> None:
    """The verdict table, then latencies and rates."""
    table = Table(title="verdict")
    for column in ("question", "examined", "answer"):
        table.add_column(column, justify="left" if column == "question" else "right")
    for name, question in QUESTIONS.items():
        check = document["verdict"][name]
        answer = "[green]no[/green]" if check["ok"] else f"[red]YES: {check['count']:,}[/red]"
        table.add_row(question, f"{check['examined']:,}", answer)
    console.print(table)
    for name in QUESTIONS:
        for violation in document["verdict"][name]["violations"][:_SHOWN]:
            console.print(f"{name}: {violation}", style="red", highlight=False, soft_wrap=True)
    figures = Table(title="latency, ms")
    for column in ("", "p50", "p95", "p99", "max"):
        figures.add_column(column, justify="right")
    labels = {
        "accept_latency_ms": "request → 202",
        "decision_latency_ms": "accepted → decided",
        "late_ms": "sent late",
    }
    for name, label in labels.items():
        if document[name]:
            figures.add_row(label, *(f"{value:,.1f}" for value in document[name].values()))
    console.print(figures)
    console.print(
        f"{document['requests']:,} requests, {document['accepted']:,} accepted"
        f" ({document['accepts_per_second'] or 0:,.0f}/s), {document['decided']:,} decided"
        f" ({document['decided_per_second'] or 0:,.0f}/s), {document['confirmed_tickets']:,} tickets confirmed",
        highlight=False,
    )
    for title in ("answers", "outcomes"):
        counts = ", ".join(f"{name} {count:,}" for name, count in document[title].items())
        console.print(f"{title}: {counts or 'none'}", highlight=False, soft_wrap=True)
