"""A simulated sale as one HTML file: no script, nothing fetched, charts as inline SVG."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from scripts.benches.report.charts import draw_curve, style
from scripts.benches.series import Curve, Line
from scripts.simulation.report import ENDS, WAITS, answer, limit_text, milliseconds
from scripts.simulation.summary import Course


def make_page(document: dict[str, Any], course: Course) -> str:
    """The whole file."""
    asked = document["scenario"]
    title = f"{asked['seats']:,} seats, {asked['people']:,} people in {asked['seconds']:g} s"
    waits = [[WAITS[name], *_figures(figures)] for name, figures in document["waits_ms"].items()]
    ends = [[text, f"{document['ends'][name]:,}"] for name, text in ENDS.items()]
    occupied = [
        [name, f"{load['mean']:.0%}", f"{load['busiest']:.0%}"] for name, load in document["loads"].items()
    ]
    settings = [[name, str(value)] for name, value in asked.items()]
    parts = [
        f"<h1>{escape(title)}</h1><p><strong>{escape(answer(document))}</strong></p>",
        '<div class="charts">',
        *(_figure(curve) for curve in _curves(course)),
        "</div>",
        _table(["waits", "p50", "p90", "p99", "max"], waits),
        _table(["people", ""], ends),
        _table(["occupied", "over the sale", "busiest second"], occupied),
        f"<p>{escape(limit_text(document['bottleneck']))}</p>",
        *(f"<p>{escape(warning)}</p>" for warning in document["warnings"]),
        f'<p class="audited">Costs: {escape(document["costs"]["source"])}. A simulation, not a promise.</p>',
        _table(["asked", ""], settings),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    body = "\n".join(parts)
    head += f"<style>{style()}</style>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _figures(figures: dict[str, float]) -> list[str]:
    return [milliseconds(figures[name]) for name in ("p50", "p90", "p99", "max")]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _curves(course: Course) -> Iterator[Curve]:
    """Over the sale: people who come and go, those who stand, and how long."""
    rate = 1 / course.slot_seconds
    pace = {"pressed": course.pressed, "accepted": course.accepted, "decided": course.decided}
    waits = [each or 0.0 for each in course.wait_ms_p50]
    for what, unit, values in (
        ("people", "/s", {name: [count * rate for count in counts] for name, counts in pace.items()}),
        ("people in line", "people", {"in line": course.depth}),
        ("wait from pressing to the decision, median, by when one pressed", "ms", {"wait": waits}),
    ):
        lines = [
            Line(
                name=name,
                points=[(number * course.slot_seconds, value) for number, value in enumerate(each)],
            )
            for name, each in values.items()
        ]
        yield Curve(what=what, x="seconds", unit=unit, lines=lines)


def _figure(curve: Curve) -> str:
    legend = "".join(
        f'<li><i class="swatch-{number}"></i>{escape(line.name)}</li>'
        for number, line in enumerate(curve.lines)
    )
    return (
        f"<figure><figcaption>{escape(curve.what)}</figcaption>{draw_curve(curve)}"
        f'<ul class="legend">{legend}</ul></figure>'
    )
