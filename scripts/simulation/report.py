"""A simulated sale as a document, and on a terminal."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from scripts.simulation.costs import Calibration
from scripts.simulation.costs import now as unix_now
from scripts.simulation.people import CONFIRMED, DOOR, LINE_FULL, NOT_ENOUGH_LEFT, SOLD_OUT
from scripts.simulation.sale import Sale
from scripts.simulation.scenario import Scenario
from scripts.simulation.summary import Course, Summary, bottleneck, loads

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
CONNECTIONS_EACH: Final = 4000  # that an API process takes: see api/gunicorn_conf.py

ENDS: Final = {
    CONFIRMED: "got their tickets",
    NOT_ENOUGH_LEFT: "decided: not enough left",
    SOLD_OUT: "decided: sold out",
    DOOR: "refused at the door: sold out",
    LINE_FULL: "refused: the line is full",
}
WAITS: Final = {
    "pressed_to_accepted": "pressed → accepted",
    "accepted_to_decided": "accepted → decided",
    "pressed_to_decided": "pressed → decided",
    "pressed_to_refused": "pressed → refused at the door",
}


def make_document(
    scenario: Scenario, calibration: Calibration, sale: Sale, summary: Summary
) -> dict[str, Any]:
    """Everything that the report says, as JSON values."""
    found = loads(sale, scenario, summary.ended_seconds)
    return {
        "scenario": asdict(scenario),
        "costs": {**calibration.document(), "source": calibration.source(unix_now())},
        "requests": sale.requests,
        "open_requests_max": sale.open_max,
        **summary.document(),
        "loads": {name: asdict(load) for name, load in found.items()},
        "bottleneck": bottleneck(found),
        "warnings": _warnings(scenario, sale),
    }


def answer(document: dict[str, Any]) -> str:
    """The answer to the organiser's question, in a few sentences."""
    gone, waits = document["gone_seconds"], document["waits_ms"].get("pressed_to_decided")
    parts = [
        f"{document['ends'][CONFIRMED]:,} of {document['people']:,} people get tickets; "
        + ("some seats are left." if gone is None else f"the last seat is gone after {seconds(gone)}.")
    ]
    if waits:
        parts.append(
            f"Who stands in line knows after {milliseconds(waits['p50'])} (half of them), "
            f"{milliseconds(waits['p99'])} (99 of 100), at most {milliseconds(waits['max'])}."
        )
    parts.append(f"After the last press everything is answered within {seconds(document['drain_seconds'])}.")
    return " ".join(parts)


def show(console: Console, document: dict[str, Any], course: Course) -> None:
    """The report on a terminal."""
    console.print(answer(document), style="bold", highlight=False, soft_wrap=True)
    console.print(_asked(document), style="dim", highlight=False, soft_wrap=True)
    console.print()
    console.print(_chart(course))
    console.print(_waits(document["waits_ms"]))
    console.print(_ends(document))
    console.print(_loads(document))
    for warning in document["warnings"]:
        console.print(warning, style="yellow", highlight=False, soft_wrap=True)


def limit_text(name: str) -> str:
    """The bottleneck in words."""
    return f"The bottleneck is: {name}." if name else "Nothing comes near its limit."


def seconds(value: float) -> str:
    """Seconds as a person says them."""
    return f"{1000 * value:.0f} ms" if value < 1 else f"{value:.1f} s"


def milliseconds(value: float) -> str:
    """Milliseconds as a person says them."""
    return f"{value:.1f} ms" if value < 20 else seconds(value / 1000)


def sparkline(values: Sequence[float]) -> str:
    """A block a value, as high as its share of the largest."""
    top = max([*values, 1e-9])
    return "".join(
        _BLOCKS[round(8 * value / top) if value <= 0 else max(1, round(8 * value / top))] for value in values
    )


def _asked(document: dict[str, Any]) -> str:
    asked = document["scenario"]
    parts = (
        f"{asked['seats']:,} seats",
        f"{asked['people']:,} people in {asked['seconds']:g} s ({asked['profile']})",
        _counted(asked["api"], "API process", "es"),
        _counted(asked["workers"], "worker"),
        _counted(asked["cores"], "core"),
        _counted(asked["events"], "event"),
        f"door {'on' if asked['sold_out_door'] else 'off'}",
        f"seed {asked['seed']}; costs: {document['costs']['source']}",
    )
    return ", ".join(parts)


def _counted(count: float, noun: str, plural: str = "s") -> str:
    return f"{count:g} {noun}{'' if count == 1 else plural}"


def _chart(course: Course) -> RenderableType:
    waits = [each or 0.0 for each in course.wait_ms_p50]
    slot = course.slot_seconds
    table = Table(box=None, padding=(0, 1), title=f"{slot * len(waits):.1f} s, {seconds(slot)} a column")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True, style="cyan")
    table.add_column("≤", justify="right", no_wrap=True)
    rows: dict[str, tuple[Sequence[float], str, float]] = {
        "pressed": (course.pressed, "/s", 1 / slot),
        "accepted": (course.accepted, "/s", 1 / slot),
        "decided": (course.decided, "/s", 1 / slot),
        "in line": (course.depth, "", 1),
        "wait p50": (waits, "ms", 1),
    }
    for name, (values, unit, factor) in rows.items():
        table.add_row(name, Text(sparkline(values)), f"{max(values) * factor:,.0f} {unit}".rstrip())
    return table


def _waits(waits: dict[str, dict[str, float]]) -> Table:
    table = Table(box=None, padding=(0, 1))
    for name in ("waits", "p50", "p90", "p99", "max"):
        table.add_column(name, justify="left" if name == "waits" else "right")
    for name, figures in waits.items():
        table.add_row(WAITS[name], *(milliseconds(figures[each]) for each in ("p50", "p90", "p99", "max")))
    return table


def _ends(document: dict[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 1))
    table.add_column("people")
    table.add_column("", justify="right")
    for name, text in ENDS.items():
        table.add_row(text, f"{document['ends'][name]:,}")
    table.add_row("in line at once, at most", f"{document['depth_max']:,}")
    table.add_row("requests, with retries, looks and polls", f"{document['requests']:,}")
    return table


def _loads(document: dict[str, Any]) -> Group:
    table = Table(box=None, padding=(0, 1))
    for name in ("occupied", "over the sale", "busiest second"):
        table.add_column(name, justify="left" if name == "occupied" else "right")
    for name, load in document["loads"].items():
        table.add_row(name, f"{load['mean']:.0%}", f"{load['busiest']:.0%}")
    return Group(table, Text(limit_text(document["bottleneck"]), style="bold"))


def _warnings(scenario: Scenario, sale: Sale) -> list[str]:
    if sale.open_max <= scenario.connections:
        return []
    warning = (
        f"At most {sale.open_max:,} requests are open at once; {scenario.api} API processes take"
        f" {scenario.connections:,} connections, the others wait to be let in."
    )
    return [warning]
