"""`guichet bench`: how fast and how small, on servers of its own, in one run with its references."""

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

import click
import orjson
from rich.console import Console

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
    scaling,
    status,
    steady,
    waiters,
)
from scripts.benches.figures import Measurement
from scripts.benches.installation import Laboratory
from scripts.benches.processes import BenchError
from scripts.benches.report.circumstances import Circumstances
from scripts.benches.report.document import list_violations, make_document
from scripts.benches.report.page import make_page
from scripts.benches.report.terminal import show
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
    "scaling": scaling.measure,
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
    "--html",
    "html_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it there as a page with charts, one file that needs nothing else.",
)
@click.option(
    "--scale", type=click.FloatRange(0, 1, min_open=True), hidden=True, help="Every count times this."
)
def command(
    *,
    quick: bool,
    only: tuple[str, ...],
    json_file: Path | None,
    html_file: Path | None,
    scale: float | None,
) -> None:
    """Measure decisions, accepts, latency and memory against their bars; touches no installation.

    A slow machine falls short and still exits 0; the exit code is 1 when the audit of what was decided finds a
    broken promise.
    """
    sizes = QUICK if quick else FULL
    if scale is not None:
        sizes = scaled(sizes, scale)
    signal.signal(signal.SIGTERM, _stop)
    console, circumstances = Console(), Circumstances.now(quick=quick)
    found: dict[str, Measurement] = {}
    try:
        _run(console, sizes, only or tuple(name for name in BENCHES if name not in ON_REQUEST), found)
    except (BenchError, EmbeddedServerError) as error:
        raise click.ClickException(str(error)) from None
    finally:
        # What was measured before one failed, or before Ctrl-C, took its time: it is said all the same.
        circumstances.end()
        if json_file is not None:
            document = make_document(found, circumstances)
            json_file.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
        if html_file is not None:
            html_file.write_text(make_page(found, circumstances), encoding="utf-8")
        show(console, found, circumstances)
    if list_violations(found):
        sys.exit(1)


def _run(console: Console, sizes: Sizes, names: tuple[str, ...], found: dict[str, Measurement]) -> None:
    """Adds to `found`, one after the other."""
    with console.status("starting servers") as status, Laboratory(sizes) as laboratory:
        for name in names:
            status.update(f"measuring {name}")
            started = time.monotonic()
            found[name] = BENCHES[name](laboratory)
            console.print(f"{name}: {time.monotonic() - started:.0f} s", style="dim", highlight=False)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
