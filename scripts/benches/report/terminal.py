"""The report on the terminal."""

from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scripts.benches.figures import FALLS_SHORT, PASS, Figure, Measurement
from scripts.benches.report import words
from scripts.benches.report.circumstances import Circumstances
from scripts.benches.report.document import count_audited, list_violations

_COLOURS = {PASS: "[green]PASS[/green]", FALLS_SHORT: "[yellow]FALLS SHORT[/yellow]", "": ""}


def show(console: Console, found: Mapping[str, Measurement], circumstances: Circumstances) -> None:
    """Every figure with its bar, and what the audits say."""
    machine = circumstances.machine
    table = Table(
        title=f"{machine.cores} cores, client included; AOF always synced; Python {machine.python};"
        f" {circumstances.seconds:.0f} s{'; quick' if circumstances.quick else ''}"
    )
    table.add_column("measured")
    for name in ("value", "bar", "ratio", "verdict"):
        table.add_column(name, justify="right")
    table.add_column("circumstances", overflow="fold")
    for measurement in found.values():
        for figure in measurement.figures:
            table.add_row(*_row(figure))
        table.add_section()
    violations = list_violations(found)
    verdict = f"[red]{len(violations):,} WRONG[/red]" if violations else f"[green]{PASS}[/green]"
    what = "ledger rows replayed and compared with tables and line"
    table.add_row("audit", f"{count_audited(found):,}", "", "", verdict, what)
    console.print(table)
    for violation in violations:
        console.print(violation, style="red", highlight=False, markup=False, soft_wrap=True)


def _row(figure: Figure) -> tuple[str, ...]:
    return (
        escape(figure.what),
        words.number(figure.value, figure.unit),
        words.bar(figure),
        words.ratio(figure),
        _COLOURS[figure.verdict],
        escape(figure.circumstances),
    )
