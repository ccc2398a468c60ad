"""Tiny runs of `guichet bench`, in groups that run beside each other, and what their reports must say."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from click.testing import CliRunner, Result
from markupsafe import escape

from scripts import bench

# A group is a test file: what takes long stands apart, so that no file keeps the whole suite waiting.
SPEED: Final = (
    "decisions",
    "accepts",
    "end-to-end",
    "steady",
    "idle",
    "admin",
    "reads",
    "status",
    "waiters",
)
FLATNESS: Final = ("depth", "past", "redis-memory", "process-memory", "lists")
SCALING: Final = ("scaling",)

BARS: Final[dict[str, list[float]]] = {
    "decisions": [12_000, 80, 3],
    "accepts": [3_000, 0.33, 60],
    "end-to-end": [2_300, 500, 1_700, 500],
    "steady": [15, 15, 60],
    "depth": [1.2, 1.2, 1.2, 1.2],
    "past": [1.2, 1.2, 1.2, 1.2],
    "redis-memory": [750],
    "process-memory": [90, 1.1, 90, 1.1, 1.1],
    "idle": [12],
    "admin": [100],
    "reads": [4_000, 4_000],
    "status": [4_000, 5_000, 4_000, 5_000],
    "waiters": [100, 2, 60],
    "lists": [1.5],
    "scaling": [0.15],
}
_WITHOUT_LEDGERS: Final = ("lists",)


def invoke(*options: object) -> Result:
    """`guichet bench` with these options, in this process."""
    return CliRunner().invoke(bench.command, list(map(str, options)), env={"COLUMNS": "160"})


@dataclass(frozen=True, slots=True)
class Reports:
    """What one run wrote: the JSON report and the page."""

    document: dict[str, Any]
    page: str

    def assert_ran(self, name: str) -> None:
        """It measured something, and the audit found nothing."""
        measurement = self.document["measurements"][name]
        assert measurement["violations"] == []
        assert measurement["audited_rows"] > 0 or name in _WITHOUT_LEDGERS
        values = [figure["value"] for figure in measurement["figures"]]
        assert values
        assert all(math.isfinite(value) and value >= 0 for value in values)

    def assert_bars(self, name: str) -> None:
        """Each bar stands beside its figure."""
        figures = self.document["measurements"][name]["figures"]
        assert [figure["bar"] for figure in figures if figure["bar"]] == BARS[name]

    def assert_shown(self, name: str) -> None:
        """Every figure and chart stands on the page."""
        measurement = self.document["measurements"][name]
        drawn = [*measurement["figures"], *measurement["distributions"], *measurement["curves"]]
        assert f'<section id="{name}">' in self.page
        assert [part["what"] for part in drawn if str(escape(part["what"].strip())) not in self.page] == []


def run_tiny(folder: Path, names: Sequence[str]) -> Reports:
    """A run at a five hundredth of the size."""
    only = [option for name in names for option in ("--only", name)]
    result = invoke(
        "--scale", 0.002, "--json", folder / "report.json", "--html", folder / "report.html", *only
    )
    assert result.exit_code == 0, result.output
    document = orjson.loads((folder / "report.json").read_bytes())
    return Reports(document, (folder / "report.html").read_text())


class EveryMeasurement:
    """What holds of each measurement of a group: a test class is it, with its names."""

    def test_runs_and_is_audited(self, name: str, reports: Reports) -> None:
        reports.assert_ran(name)

    def test_has_its_bars_in_the_report(self, name: str, reports: Reports) -> None:
        reports.assert_bars(name)

    def test_has_its_figures_and_charts_on_the_page(self, name: str, reports: Reports) -> None:
        reports.assert_shown(name)
