"""A simulated sale as one HTML file: no script, nothing fetched, charts as inline SVG."""

from collections.abc import Sequence
from html import escape
from typing import Any, Final

from scripts.simulation.report import ENDS, WAITS, answer, limit_text, milliseconds, seconds
from scripts.simulation.summary import Course

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 760, 220, 64, 28
_COLOURS: Final = ("#2563eb", "#d97706", "#059669")

_STYLE: Final = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .25rem .75rem; text-align: right; border-bottom: 1px solid #8884; }
th:first-child, td:first-child { text-align: left; }
svg { width: 100%; height: auto; } svg text { font-size: 12px; fill: currentColor; }
figure { margin: 1.5rem 0; } .small { opacity: .75; font-size: .875rem; }
"""


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
    rate = 1 / course.slot_seconds
    parts = [
        f"<h1>{escape(title)}</h1><p><strong>{escape(answer(document))}</strong></p>",
        _chart(
            "People a second",
            {
                "pressed": [value * rate for value in course.pressed],
                "accepted": [value * rate for value in course.accepted],
                "decided": [value * rate for value in course.decided],
            },
            course.slot_seconds,
        ),
        _chart("People in line", {"in line": course.depth}, course.slot_seconds),
        _chart(
            "Wait from pressing to the decision, median in ms, by when one pressed",
            {"wait": [each or 0.0 for each in course.wait_ms_p50]},
            course.slot_seconds,
        ),
        _table(["waits", "p50", "p90", "p99", "max"], waits),
        _table(["people", ""], ends),
        _table(["occupied", "over the sale", "busiest second"], occupied),
        f"<p>{escape(limit_text(document['bottleneck']))}</p>",
        *(f"<p>{escape(warning)}</p>" for warning in document["warnings"]),
        f'<p class="small">Costs: {escape(document["costs"]["source"])}. A simulation, not a promise.</p>',
        _table(["asked", ""], settings),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    body = "\n".join(parts)
    head += f"<style>{_STYLE}</style>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _figures(figures: dict[str, float]) -> list[str]:
    return [milliseconds(figures[name]) for name in ("p50", "p90", "p99", "max")]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _chart(title: str, lines: dict[str, Sequence[float]], slot_seconds: float) -> str:
    """Lines over time with their legend; the left axis ends at the largest value."""
    top = max([*(max(values) for values in lines.values()), 1e-9])
    count = len(next(iter(lines.values())))
    drawn = [
        f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{_points(values, top)}"/>'
        f'<text x="{_LEFT + 8 + 110 * index}" y="14" style="fill:{colour}">{escape(name)}</text>'
        for index, ((name, values), colour) in enumerate(zip(lines.items(), _COLOURS, strict=False))
    ]
    floor = _HEIGHT - _BOTTOM
    axes = (
        f'<path d="M{_LEFT} 20V{floor}H{_WIDTH}" fill="none" stroke="currentColor" opacity=".5"/>'
        f'<text x="{_LEFT - 6}" y="30" text-anchor="end">{top:,.0f}</text>'
        f'<text x="{_LEFT - 6}" y="{floor}" text-anchor="end">0</text>'
        f'<text x="{_LEFT}" y="{_HEIGHT - 8}">0 s</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT - 8}" text-anchor="end">{seconds(count * slot_seconds)}</text>'
    )
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH + 8} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{axes}{''.join(drawn)}</svg></figure>"
    )


def _points(values: Sequence[float], top: float) -> str:
    high, wide = _HEIGHT - _BOTTOM - 24, (_WIDTH - _LEFT) / max(len(values) - 1, 1)
    return " ".join(
        f"{_LEFT + index * wide:.1f},{_HEIGHT - _BOTTOM - high * value / top:.1f}"
        for index, value in enumerate(values)
    )
