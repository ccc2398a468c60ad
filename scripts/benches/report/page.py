"""The report as one HTML file that needs nothing else: no script, no font, no address."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from scripts.benches.figures import PASS, Measurement
from scripts.benches.report import bars, charts, words
from scripts.benches.report.circumstances import Circumstances
from scripts.benches.report.document import count_audited, list_violations

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class _Verdict:
    """How many figures reach their bars, and what the audits found."""

    reached: int
    bars: int
    audited: int
    violations: list[str]


def make_page(found: Mapping[str, Measurement], circumstances: Circumstances) -> str:
    """The page; whatever stands in figures and notes is text on it, never markup."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    judged = [figure for measurement in found.values() for figure in measurement.figures if figure.verdict]
    values: dict[str, Any] = {
        "found": found,
        "circumstances": circumstances,
        "verdict": _Verdict(
            sum(figure.verdict == PASS for figure in judged),
            len(judged),
            count_audited(found),
            list_violations(found),
        ),
        "judged": bars.against_bars(found),
        "bars": bars,
        "charts": charts,
        "words": words,
        "style": charts.style(),
    }
    return environment.get_template("page.html").render(values)
