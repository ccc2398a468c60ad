"""`guichet top`: the line as it moves, refreshed every second."""

import math
import time
from collections.abc import Mapping
from typing import Any, Final

import click
from rich.align import Align
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from scripts.environment import load_command_settings
from scripts.line_access import AWAY, LineAccess, open_line, plain_errors
from shared.errors import GuichetError

REFRESH_SECONDS: Final = 1.0
BAR_CHARACTERS: Final = 18


@click.command()
@click.option("--once", is_flag=True, help="Show it once and end.")
def command(*, once: bool) -> None:
    """Watch the line: depth, decided a second, oldest waiting, partitions, workers. Ctrl-C ends it."""
    console = Console()
    with open_line(load_command_settings()) as line:
        if once:
            with plain_errors():
                console.print(render(line.stats()))
            return
        try:
            with Live(_screen(line), console=console, screen=console.is_terminal, auto_refresh=False) as live:
                while True:
                    time.sleep(REFRESH_SECONDS)
                    live.update(_screen(line), refresh=True)
        except KeyboardInterrupt:
            return


def _screen(line: LineAccess) -> RenderableType:
    """What stands on the screen now; a server that is away is said, and asked again at the next turn."""
    try:
        return render(line.stats())
    except (*AWAY, GuichetError) as error:
        said = str(error).split("\n", 1)[0]
        return Panel(Text(f"{type(error).__name__}: {said}", style="red"), title="the line does not answer")


def render(stats: Mapping[str, Any]) -> RenderableType:
    """The document of `/api/admin/queue/stats` as a screen."""
    parts: list[RenderableType] = [_headline(stats), _partitions(stats["partitions"])]
    if stats["workers"]:
        parts.append(_workers(stats["workers"]))
    parts += [Text(f"! {_problem_text(problem)}", style="red") for problem in stats["problems"]]
    return Panel(Group(*parts), title="guichet top", subtitle=Text("Ctrl-C ends it", style="dim"))


def _problem_text(problem: object) -> str:
    return ": ".join(str(part) for part in problem.values()) if isinstance(problem, Mapping) else str(problem)


def _headline(stats: Mapping[str, Any]) -> RenderableType:
    state = Text("running", style="green")
    if stats["paused"] is not None:
        until = stats["paused"]["resume_at"] or "somebody resumes it"
        state = Text(
            f"PAUSED until {until}: {stats['paused']['reason'] or 'no reason given'}", style="bold yellow"
        )
    figures = Table.grid(padding=(0, 3))
    figures.add_row(
        f"waiting [bold]{stats['waiting']:,}[/bold]",
        f"in flight [bold]{stats['in_flight']:,}[/bold]",
        f"decided/s [bold]{stats['decided_per_second']:,.0f}[/bold]",
        f"oldest waiting [bold]{_age(stats['oldest_waiting_seconds'])}[/bold]",
        f"failed [bold]{stats['failed']:,}[/bold]",
    )
    return Group(state, Align.left(figures), Text())


def _partitions(partitions: list[Mapping[str, Any]]) -> Table:
    """A bar a partition, as long as its share of the deepest one."""
    deepest = max((part["waiting"] for part in partitions), default=0)
    table = Table(box=None, padding=(0, 1))
    for title in ("partition", "waiting", "", "in flight", "oldest", "holder"):
        table.add_column(
            title,
            justify="left" if title in ("", "holder") else "right",
            width=BAR_CHARACTERS if title == "" else None,
            no_wrap=True,
        )
    for part in partitions:
        table.add_row(
            str(part["partition"]),
            f"{part['waiting']:,}",
            Text("█" * math.ceil(BAR_CHARACTERS * part["waiting"] / max(deepest, 1)), style="cyan"),
            f"{part['in_flight']:,}",
            _age(part["oldest_waiting_seconds"]),
            _short(part["holder"]) if part["holder"] else Text("nobody", style="red"),
        )
    return table


def _workers(workers: list[Mapping[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 1))
    for title in ("worker", "state", "decided", "per second", "heard of"):
        table.add_column(title, justify="right" if title in ("decided", "per second") else "left")
    for worker in workers:
        table.add_row(
            _short(worker["name"]),
            worker["state"] if worker["live"] else Text("silent", style="red"),
            f"{worker['decided']:,}",
            f"{worker['decided_per_second']:,.0f}",
            (worker["heartbeat_at"] or "").partition("T")[2].partition(".")[0],
        )
    return table


def _short(worker_name: str) -> str:
    """Process id and tail of a worker's name, enough to tell workers apart on a screen."""
    return "-".join(worker_name.split("-")[-2:])


def _age(seconds: float | None) -> str:
    """Seconds as a person says them."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
