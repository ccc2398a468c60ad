"""Figures as bars of HTML, whose words a phone may wrap: each with a mark where its bar stands."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from scripts.benches.figures import FALLS_SHORT, PASS, Figure, Measurement
from scripts.benches.report import words

# How far from its bar a figure may be and still be drawn: a tenth, ten times.
_DECADES = 1.0
_STYLES = {PASS: "pass", FALLS_SHORT: "short", "": "plain"}
# Figures in these units stand together: those of a group have one scale.
_SPEED, _SIZE = ("/s",), ("MB", "KB", "bytes")


@dataclass(frozen=True, slots=True)
class Bar:
    """Shares of the width in percent: it is drawn from `from_percent`, `percent` long; `mark_percent` is where the
    figure's own bar stands.
    """

    name: str
    value: str
    from_percent: float
    percent: float
    mark_percent: float | None
    style: str
    target: str


def speeds(figures: Sequence[Figure]) -> list[Bar]:
    """What is measured a second, with its references."""
    return _together([figure for figure in figures if figure.unit in _SPEED])


def sizes(figures: Sequence[Figure]) -> Iterator[list[Bar]]:
    """What is measured in bytes: a group for each unit."""
    for unit in _SIZE:
        if found := [figure for figure in figures if figure.unit == unit]:
            yield _together(found)


def against_bars(found: Mapping[str, Measurement]) -> list[Bar]:
    """Every figure that has a bar, as a multiple of it on a logarithmic scale; better is farther right, also where
    less is better. The middle is the bar. Names begin with the measurement's, for some figures have the same.
    """
    bars = []
    for name, measurement in found.items():
        for figure in measurement.figures:
            if figure.ratio is not None:
                ratio = max(figure.ratio, 1e-6)
                away = math.log10(1 / ratio if figure.at_most else ratio) / _DECADES
                end = 50 + 50 * min(1.0, max(-1.0, away))
                drawn = _bar(figure, min(50.0, end), abs(end - 50), 50.0)
                bars.append(replace(drawn, name=f"{name}: {drawn.name}"))
    return bars


def _together(figures: Sequence[Figure]) -> list[Bar]:
    ends = [end for figure in figures for end in (figure.value, figure.bar or 0.0)]
    longest = max(ends, default=0.0) or 1.0
    return [
        _bar(
            figure,
            0.0,
            100 * figure.value / longest,
            None if figure.bar is None else 100 * figure.bar / longest,
        )
        for figure in figures
    ]


def _bar(figure: Figure, from_percent: float, percent: float, mark_percent: float | None) -> Bar:
    return Bar(
        figure.what.strip(),
        words.number(figure.value, figure.unit),
        round(from_percent, 2),
        round(percent, 2),
        None if mark_percent is None else round(mark_percent, 2),
        _STYLES[figure.verdict],
        words.bar(figure),
    )
