"""`guichet top`: the line as it moves, refreshed every second."""

import time
from collections.abc import Mapping
from typing import Any, Final

import click
from rich.align import Align
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from scripts.environment import load_command_settings
from scripts.line_access import AWAY, LineAccess, open_line, plain_errors
from shared.errors import GuichetError

REFRESH_SECONDS: Final = 1.0
BAR_CHARACTERS: Final = 32


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
    table = Table(box=None, padding=(0, 2))
    for title in ("partition", "waiting", "", "in flight", "oldest", "holder"):
        table.add_column(title, justify="left" if title in ("", "holder") else "right")
    for part in partitions:
        table.add_row(
            str(part["partition"]),
            f"{part['waiting']:,}",
            ProgressBar(total=max(deepest, 1), completed=part["waiting"], width=BAR_CHARACTERS),
            f"{part['in_flight']:,}",
            _age(part["oldest_waiting_seconds"]),
            part["holder"] or Text("nobody", style="red"),
        )
    return table


def _workers(workers: list[Mapping[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 2))
    for title in ("worker", "state", "partitions", "decided", "heard of"):
        table.add_column(title)
    for worker in workers:
        held = ", ".join(str(partition) for partition in worker["partitions"])
        table.add_row(
            worker["name"], worker["state"], held, f"{worker['decided']:,}", str(worker["heartbeat_at"] or "")
        )
    return table


def _age(seconds: float | None) -> str:
    """Seconds as a person says them."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
