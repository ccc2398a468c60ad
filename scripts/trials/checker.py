"""The verdict on a trial: every promise, held against three sources by sums that are nobody's but the checker's."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from scripts.trials.evidence import Evidence, uncollected
from scripts.trials.invariants.answers_stand import answers_stand
from scripts.trials.invariants.asked_for import asked_for
from scripts.trials.invariants.chained import chained
from scripts.trials.invariants.decided_once import decided_once
from scripts.trials.invariants.declared import declared
from scripts.trials.invariants.fair import fair
from scripts.trials.invariants.in_order import in_order
from scripts.trials.invariants.line_empties import line_empties
from scripts.trials.invariants.never_oversold import never_oversold
from scripts.trials.invariants.one_for_each import one_for_each
from scripts.trials.invariants.private import private
from scripts.trials.invariants.redis_agrees import redis_agrees
from scripts.trials.invariants.tables_agree import tables_agree
from scripts.trials.invariants.told_once import told_once
from scripts.trials.invariants.waitlist_conserves import waitlist_conserves

Invariant = Callable[[Evidence, Counter[str]], Iterator[str]]

# Every invariant, and what it must have looked at for its silence to mean anything.
INVARIANTS: Final[dict[str, tuple[Invariant, str, str]]] = {
    invariant.__name__: (invariant, needs, says)
    for invariant, needs, says in (
        (never_oversold, "ledger rows", "never oversold"),
        (tables_agree, "events", "tables are what the ledger made"),
        (waitlist_conserves, "events", "offers and places are conserved"),
        (decided_once, "accepted", "every 202 is decided once"),
        (one_for_each, "bookings", "one job and booking for each key"),
        (in_order, "requests compared", "decided in order of arrival"),
        (fair, "ledger rows", "nobody is passed over"),
        (answers_stand, "answers", "an answer once given stands"),
        (asked_for, "ledger rows", "no decision without a request"),
        (line_empties, "partitions", "the line empties"),
        (redis_agrees, "jobs", "Redis agrees with the ledger"),
        (declared, "calls", "only declared answers"),
        (private, "attempts", "nobody sees another's job"),
        (chained, "ledger rows", "the hash chain is whole"),
        (told_once, "due", "everybody is told once"),
    )
}
_KEPT: Final = 100
_SHOWN: Final = 5


@dataclass(slots=True)
class Finding:
    """What came of one invariant: `violations` are the first of `count`; `seen` is what it looked at, by name."""

    name: str
    says: str
    needs: str
    seen: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    count: int = 0

    @property
    def blind(self) -> bool:
        """It looked at nothing, so that its silence says nothing."""
        return self.seen[self.needs] == 0

    @property
    def ok(self) -> bool:
        """It looked, and found nothing."""
        return not self.count and not self.blind


@dataclass(slots=True)
class Verdict:
    """All findings, in the order of INVARIANTS."""

    findings: list[Finding]

    @property
    def ok(self) -> bool:
        """Every promise was kept, and looked at."""
        return all(finding.ok for finding in self.findings)

    @property
    def broken(self) -> set[str]:
        """The invariants that found a violation."""
        return {finding.name for finding in self.findings if finding.count}

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "ok": self.ok,
            "invariants": {
                finding.name: {
                    "ok": finding.ok,
                    "says": finding.says,
                    "seen": dict(finding.seen),
                    "looked_at_nothing": finding.blind,
                    "count": finding.count,
                    "violations": finding.violations,
                }
                for finding in self.findings
            },
        }


def check(evidence: Evidence) -> Verdict:
    """Holds every invariant against the evidence. Some ten seconds of one core for 300,000 calls."""
    with uncollected():
        return Verdict([_find(evidence, name) for name in INVARIANTS])


def _find(evidence: Evidence, name: str) -> Finding:
    invariant, needs, says = INVARIANTS[name]
    finding = Finding(name, says, needs)
    for violation in invariant(evidence, finding.seen):
        finding.count += 1
        if finding.count <= _KEPT:
            finding.violations.append(violation)
    return finding


def show_verdict(console: Console, verdict: Verdict) -> None:
    """The verdict as a table, then the first violations of each invariant that has any."""
    table = Table(title="verdict")
    table.add_column("promise")
    table.add_column("looked at")
    table.add_column("violations", justify="right")
    for finding in verdict.findings:
        looked = ", ".join(f"{number:,} {what}" for what, number in finding.seen.items() if number)
        answer = f"[red]{finding.count:,}[/red]" if finding.count else "[green]none[/green]"
        table.add_row(finding.says, looked, "[red]looked at nothing[/red]" if finding.blind else answer)
    console.print(table)
    for finding in verdict.findings:
        for violation in finding.violations[:_SHOWN]:
            console.print(f"{finding.name}: {violation}", style="red", highlight=False, soft_wrap=True)
