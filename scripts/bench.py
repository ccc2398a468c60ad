"""`guichet bench`: how fast and how small, on servers of its own, in one run with its references."""

import os
import platform
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final

import click
import orjson
import psutil
from rich.console import Console
from rich.table import Table

from scripts.benches import (
    accepts,
    admin,
    decisions,
    depth,
    end_to_end,
    idle,
    lists,
    past,
    process_memory,
    reads,
    redis_memory,
    status,
    steady,
    waiters,
)
from scripts.benches.figures import FALLS_SHORT, PASS, Figure, Measurement
from scripts.benches.installation import Laboratory
from scripts.benches.processes import BenchError
from scripts.benches.sizes import FULL, QUICK, Sizes, scaled
from scripts.embedded.common import EmbeddedServerError

BENCHES: Final[dict[str, Callable[[Laboratory], Measurement]]] = {
    "decisions": decisions.measure,
    "accepts": accepts.measure,
    "end-to-end": end_to_end.measure,
    "steady": steady.measure,
    "depth": depth.measure,
    "past": past.measure,
    "redis-memory": redis_memory.measure,
    "process-memory": process_memory.measure,
    "idle": idle.measure,
    "admin": admin.measure,
    "reads": reads.measure,
    "status": status.measure,
    "waiters": waiters.measure,
    "lists": lists.measure,
}
# Only when asked for: filling takes a quarter of an hour and ten gigabytes.
ON_REQUEST: Final = frozenset({"lists"})


@click.command()
@click.option("--quick", is_flag=True, help="Fewer rounds and smaller counts: within three minutes.")
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(list(BENCHES)),
    help="Only this one; repeatable. `lists` runs only so.",
)
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the report there."
)
@click.option(
    "--scale", type=click.FloatRange(0, 1, min_open=True), hidden=True, help="Every count times this."
)
def command(*, quick: bool, only: tuple[str, ...], json_file: Path | None, scale: float | None) -> None:
    """Measure decisions, accepts, latency and memory against their bars; touches no installation.

    A slow machine falls short and still exits 0; the exit code is 1 when the audit of what was decided finds a
    broken promise.
    """
    sizes = QUICK if quick else FULL
    if scale is not None:
        sizes = scaled(sizes, scale)
    signal.signal(signal.SIGTERM, _stop)
    console = Console()
    started = time.monotonic()
    try:
        found = _run(console, sizes, only or tuple(name for name in BENCHES if name not in ON_REQUEST))
    except (BenchError, EmbeddedServerError) as error:
        raise click.ClickException(str(error)) from None
    document = _document(found, quick=quick, seconds=time.monotonic() - started)
    if json_file is not None:
        json_file.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    _show(console, found, document)
    if not document["ok"]:
        sys.exit(1)


def _run(console: Console, sizes: Sizes, names: tuple[str, ...]) -> dict[str, Measurement]:
    found = {}
    with console.status("starting servers") as status, Laboratory(sizes) as laboratory:
        for name in names:
            status.update(f"measuring {name}")
            started = time.monotonic()
            found[name] = BENCHES[name](laboratory)
            console.print(f"{name}: {time.monotonic() - started:.0f} s", style="dim", highlight=False)
    return found


def _document(found: dict[str, Measurement], *, quick: bool, seconds: float) -> dict[str, Any]:
    return {
        "ok": not any(measurement.violations for measurement in found.values()),
        "quick": quick,
        "seconds": round(seconds, 1),
        "machine": {
            "cores": os.cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
            "load_average": os.getloadavg(),
            "python": platform.python_version(),
            "system": platform.platform(),
        },
        "measurements": {name: measurement.document() for name, measurement in found.items()},
    }


def _show(console: Console, found: dict[str, Measurement], document: dict[str, Any]) -> None:
    machine = document["machine"]
    table = Table(
        title=f"{machine['cores']} cores, client included; AOF always synced; Python {machine['python']};"
        f" {document['seconds']:.0f} s{'; quick' if document['quick'] else ''}"
    )
    table.add_column("measured")
    for name in ("value", "bar", "ratio", "verdict"):
        table.add_column(name, justify="right")
    table.add_column("circumstances", overflow="fold")
    for measurement in found.values():
        for figure in measurement.figures:
            table.add_row(*_row(figure))
        table.add_section()
    rows = sum(measurement.audited_rows for measurement in found.values())
    violations = [violation for measurement in found.values() for violation in measurement.violations]
    verdict = f"[red]{len(violations):,} WRONG[/red]" if violations else f"[green]{PASS}[/green]"
    table.add_row(
        "audit", f"{rows:,}", "", "", verdict, "ledger rows replayed and compared with tables and line"
    )
    console.print(table)
    for violation in violations:
        console.print(violation, style="red", highlight=False, markup=False, soft_wrap=True)


def _row(figure: Figure) -> tuple[str, ...]:
    colours = {PASS: "[green]PASS[/green]", FALLS_SHORT: "[yellow]FALLS SHORT[/yellow]", "": ""}
    bar = "" if figure.bar is None else f"{'≤' if figure.at_most else '≥'} {_number(figure.bar, figure.unit)}"
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    return (
        figure.what,
        _number(figure.value, figure.unit),
        bar,
        ratio,
        colours[figure.verdict],
        figure.circumstances,
    )


def _number(value: float, unit: str) -> str:
    digits = 0 if value >= 1000 else 1 if value >= 20 else 2
    return f"{value:,.{digits}f} {unit}".rstrip()


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
