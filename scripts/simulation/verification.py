"""`--calibrate` and `--verify`: what needs servers, in one laboratory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from rich.console import Console
from rich.table import Table

from scripts.benches.figures import Measurement
from scripts.benches.installation import Laboratory
from scripts.benches.sizes import QUICK
from scripts.simulation.calibration import calibrate
from scripts.simulation.comparison import Row, compare
from scripts.simulation.costs import Calibration
from scripts.simulation.rehearsal import fitted, rehearse
from scripts.simulation.sale import simulate
from scripts.simulation.scenario import Scenario
from scripts.simulation.summary import cpu_seconds, summarise


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Predicted against measured. `slower`: how many times the CPU of when costs were measured the same work took;
    `sync_us`: how long the disk took. `violations` are broken promises, each one sentence.
    """

    scenario: Scenario
    calibration: Calibration
    rows: list[Row]
    slower: float
    sync_us: float
    violations: list[str]
    audited_rows: int

    @property
    def others(self) -> float:
        """How many other programs wanted a core meanwhile, on average."""
        return sum(self.scenario.others) / max(len(self.scenario.others), 1)

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "scenario": asdict(self.scenario),
            "costs": self.calibration.document(),
            "figures": [row.document() for row in self.rows],
            "other_programs": round(self.others, 2),
            "slower": round(self.slower, 4),
            "sync_us": round(self.sync_us),
            "violations": self.violations,
            "audited_rows": self.audited_rows,
            "ok": not self.violations,
        }


@contextmanager
def laboratory() -> Iterator[Laboratory]:
    """Servers of one's own until the block ends."""
    with Laboratory(QUICK) as found:
        yield found


def calibrate_in(servers: Laboratory, *, requests: int) -> Calibration:
    """The costs of this machine now."""
    with servers.installation(Measurement()) as installation:
        return calibrate(installation, requests=requests)


def verify_in(servers: Laboratory, scenario: Scenario, calibration: Calibration) -> Verification:
    """Holds the sale, audits it, and predicts it with the costs and with what else wanted the cores meanwhile."""
    scenario, measurement = fitted(scenario), Measurement()
    with servers.installation(measurement) as installation:
        held = rehearse(installation, scenario, measurement)
    around = held.surroundings
    scenario = replace(scenario, others=around.others)
    # The same machine is slower while others use the other half of its cores, and its disk.
    slower = around.work_us / calibration.work_us if calibration.work_us else 1.0
    sale = simulate(scenario, calibration.costs.times(slower).with_disk(around.sync_us))
    predicted = summarise(sale.people, seats_left=sale.seats_left)
    measured = summarise(held.people, seats_left=held.seats_left)
    return Verification(
        scenario=scenario,
        calibration=calibration,
        slower=slower,
        sync_us=around.sync_us,
        rows=compare(predicted, measured, cpu_seconds(sale), held.cpu),
        violations=measurement.violations,
        audited_rows=measurement.audited_rows,
    )


def show_verification(console: Console, found: Verification) -> None:
    """Predicted, measured, error."""
    asked = found.scenario
    door = "on" if asked.sold_out_door else "off"
    table = Table(
        title=f"{asked.seats:,} seats, {asked.people:,} people in {asked.seconds:.1f} s ({asked.profile}),"
        f" {asked.api} API processes, {asked.workers} workers, door {door}; {asked.cores:g} cores,"
        f" {found.others:.1f} other programs wanted one, work"
        f" took {found.slower:.2f} × the CPU of when costs were measured, the disk {found.sync_us / 1000:.1f} ms"
    )
    table.add_column("figure")
    for name in ("predicted", "measured", "error", "aim"):
        table.add_column(name, justify="right")
    for row in found.rows:
        error = row.error
        table.add_row(
            row.what,
            _value(row.predicted, row.unit),
            _value(row.measured, row.unit),
            "" if error is None else f"{error:+.0%}",
            "" if row.aim is None else f"± {row.aim:.0%}",
        )
    verdict = f"[red]{len(found.violations):,} WRONG[/red]" if found.violations else "[green]PASS[/green]"
    table.add_section()
    table.add_row("audit", "", f"{found.audited_rows:,} ledger rows", verdict, "")
    console.print(table)
    for violation in found.violations[:20]:
        console.print(violation, style="red", highlight=False, markup=False, soft_wrap=True)


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    digits = 0 if value >= 100 or unit == "people" else 2
    return f"{value:,.{digits}f} {unit}"
