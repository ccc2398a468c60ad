"""What a measurement says: figures with the bar they should reach."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from scripts.benches.series import Curve, Distribution, Table, ranked

PASS = "PASS"  # noqa: S105 - a verdict
FALLS_SHORT = "FALLS SHORT"
# A load that uses more of its core than this may be what limits the rate.
BUSY_CLIENT = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured value. Without a bar it is only worth knowing; `at_most` turns the bar into a ceiling.

    `client_cpu` is the part of one core that the busiest process of the load used.
    """

    what: str
    value: float
    unit: str = ""
    bar: float | None = None
    at_most: bool = False
    note: str = ""
    client_cpu: float | None = None

    @property
    def circumstances(self) -> str:
        """The note, and what the load itself used, with a warning when it may have been the bottleneck."""
        if self.client_cpu is None:
            return self.note
        client = f"client {self.client_cpu:.2f} of a core"
        if self.client_cpu > BUSY_CLIENT:
            client += ": it may be the bottleneck"
        return f"{self.note}; {client}" if self.note else client

    @property
    def ratio(self) -> float | None:
        """The value as a multiple of its bar."""
        return None if not self.bar else self.value / self.bar

    @property
    def verdict(self) -> str:
        """`PASS`, `FALLS SHORT`, or nothing without a bar."""
        if self.bar is None:
            return ""
        return PASS if (self.value <= self.bar if self.at_most else self.value >= self.bar) else FALLS_SHORT

    def document(self) -> dict[str, Any]:
        """The figure as JSON values."""
        ratio = self.ratio
        return {
            "what": self.what,
            "value": round(self.value, 4),
            "unit": self.unit,
            "bar": self.bar,
            "bar_is": None if self.bar is None else ("at most" if self.at_most else "at least"),
            "ratio": None if ratio is None else round(ratio, 4),
            "verdict": self.verdict or None,
            "note": self.note,
            "client_cpu": None if self.client_cpu is None else round(self.client_cpu, 3),
        }


@dataclass(slots=True)
class Measurement:
    """What one measurement found. `violations` are broken promises, each one sentence: the only reason for
    which a bench fails. `distributions`, `curves` and `tables` are what the page shows beside the figures.
    """

    figures: list[Figure] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    audited_rows: int = 0
    distributions: list[Distribution] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """The measurement as JSON values."""
        return {
            "figures": [figure.document() for figure in self.figures],
            "violations": self.violations,
            "audited_rows": self.audited_rows,
            "distributions": [distribution.document() for distribution in self.distributions],
            "curves": [curve.document() for curve in self.curves],
            "tables": [table.document() for table in self.tables],
        }


def median(values: Sequence[float]) -> float:
    """The middle of the rounds."""
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed."""
    return ranked(sorted(values), share)


def spread(values: Sequence[float], digits: int = 0) -> str:
    """The rounds' lowest and highest value, for a note."""
    if len(values) == 1:
        return "1 round"
    return f"{len(values)} rounds, {min(values):,.{digits}f} … {max(values):,.{digits}f}"
