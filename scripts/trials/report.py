"""What a trial found, for people and for machines."""

from collections import Counter
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from scripts.trials.checker import show_verdict
from scripts.trials.run import Outcome

_SHOWN: Final = 20


def outcome_document(outcome: Outcome) -> dict[str, Any]:
    """The outcome as JSON values."""
    trial = outcome.trial
    return {
        "seed": trial.seed,
        "seconds": round(trial.loaded_until - trial.began_at, 1),
        "workers": outcome.plan.workers,
        "events": outcome.plan.events,
        "sold_out_door": outcome.plan.door,
        "offer_seconds": outcome.plan.offer_seconds,
        "empty_after_seconds": outcome.empty_after_seconds,
        "faults": dict(sorted(count_faults(outcome).items())),
        "deaths": outcome.deaths,
        "left_out": outcome.left_out,
        "verdict": outcome.verdict.document(),
        "audit": outcome.audit,
        "ok": outcome.ok,
    }


def count_faults(outcome: Outcome) -> Counter[str]:
    """Faults that hit somebody, by kind."""
    return Counter(fault.kind for fault in outcome.faults if fault.target)


def show_outcome(console: Console, outcome: Outcome) -> None:
    """The tables of one trial."""
    plan, faults = outcome.plan, count_faults(outcome)
    console.print(
        f"seed {plan.seed}: {faults.total():,} faults of {len(faults)} kinds, {plan.workers} workers,"
        f" {plan.events} events, door {'on' if plan.door else 'off'}, offers of {plan.offer_seconds} s;"
        f" the line was empty {outcome.empty_after_seconds} s after the last fault",
        highlight=False,
    )
    show_verdict(console, outcome.verdict)
    for sentence in outcome.audit[:_SHOWN]:
        console.print(f"audit: {sentence}", style="red", highlight=False, soft_wrap=True)
    for kind, reason in outcome.left_out.items():
        console.print(f"left out: {kind}: {reason}", highlight=False)


def show_summary(console: Console, outcomes: list[Outcome]) -> None:
    """All trials together: faults by kind, and what was examined."""
    table = Table(title=f"{len(outcomes)} trials")
    table.add_column("fault")
    table.add_column("injected", justify="right")
    total: Counter[str] = sum((count_faults(outcome) for outcome in outcomes), Counter())
    for kind, count in sorted(total.items()):
        table.add_row(kind, f"{count:,}")
    table.add_section()
    table.add_row("all", f"{total.total():,}")
    console.print(table)
    failed = [str(outcome.plan.seed) for outcome in outcomes if not outcome.ok]
    if failed:
        console.print(f"[red]violations with seed {', '.join(failed)}[/red]")
    else:
        console.print("[green]Every promise held.[/green]")
