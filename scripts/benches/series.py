"""What a measurement has to draw: how one thing is spread, and how things grow with another."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

# Dense toward the tail, where a waiting client lives.
SHARES: Final = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 1.0)
_BINS: Final = 40

Point = tuple[float, float]


def ranked(ordered: Sequence[float], share: float) -> float:
    """The smallest of the ascending values that at least `share` of all do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Raw samples of one thing, at least one: drawn as a histogram and as a curve of percentiles. `what` names it
    within its measurement.
    """

    what: str
    values: Sequence[float]
    unit: str = "ms"
    note: str = ""

    def percentiles(self) -> list[Point]:
        """(share, value) from the least to the largest; shares finer than the samples are left out."""
        ordered = sorted(self.values)
        finest = 1 - 1 / len(ordered)
        return [(share, ranked(ordered, share)) for share in SHARES if share <= finest or share == 1]

    def histogram(self) -> list[tuple[float, float, int]]:
        """(from, to, count) in bins of equal ratio, which show 1 ms as well as 1 s; what is below a thousandth of
        the largest value is in the first.
        """
        largest = max(self.values)
        least = max(min(self.values), largest / 1000)
        if largest <= least:
            return [(least, largest, len(self.values))]
        step = math.log(largest / least) / _BINS
        counts = [0] * _BINS
        for value in self.values:
            place = 0 if value <= least else int(math.log(value / least) / step)
            counts[min(place, _BINS - 1)] += 1
        edges = [least * math.exp(step * place) for place in range(_BINS + 1)]
        return [(low, high, count) for (low, high), count in zip(pairwise(edges), counts, strict=True)]

    def document(self) -> dict[str, Any]:
        """The distribution as JSON values, without the samples."""
        return {
            "what": self.what,
            "unit": self.unit,
            "count": len(self.values),
            "percentiles": [[share, round(value, 4)] for share, value in self.percentiles()],
            "histogram": [[round(low, 4), round(high, 4), count] for low, high, count in self.histogram()],
            "note": self.note,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Points of one name, ascending in x. What a model says is drawn dashed."""

    name: str
    points: Sequence[Point]
    is_model: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Lines over the same axes: `x` says what the abscissa counts, `unit` what the ordinate. Stacked lines have the
    same abscissas and are drawn as columns, each on top of the one before.
    """

    what: str
    x: str
    lines: Sequence[Line]
    unit: str = "/s"
    is_stacked: bool = False
    note: str = ""

    def document(self) -> dict[str, Any]:
        """The curve as JSON values."""
        return {
            "what": self.what,
            "x": self.x,
            "unit": self.unit,
            "is_stacked": self.is_stacked,
            "lines": [
                {
                    "name": line.name,
                    "is_model": line.is_model,
                    "points": [[x, round(y, 4)] for x, y in line.points],
                }
                for line in self.lines
            ],
            "note": self.note,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of text under their columns; the first column names the row."""

    what: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def document(self) -> dict[str, Any]:
        """The table as JSON values."""
        return {
            "what": self.what,
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
            "note": self.note,
        }
