"""A simulated sale against the same one held for real."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from scripts.simulation.summary import Summary

# What the model should be good for: see docs/simulate.md.
AIM_PACE: Final = 0.15
AIM_WAIT: Final = 0.30


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure, predicted and measured. `error` is relative to what was measured; None where that is 0 or unknown."""

    what: str
    unit: str
    predicted: float | None
    measured: float | None
    aim: float | None

    @property
    def error(self) -> float | None:
        """How much too large the prediction was."""
        if not self.measured or self.predicted is None:
            return None
        return self.predicted / self.measured - 1

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        error = self.error
        return {**asdict(self), "error": None if error is None else round(error, 4)}


_FIGURES: Final[tuple[tuple[str, str, float | None, Callable[[Summary], float | None]], ...]] = (
    ("opening to the last end", "s", AIM_PACE, lambda s: s.ended_seconds),
    ("last press to the last end", "s", None, lambda s: s.drain_seconds),
    ("the last seat is gone", "s", AIM_PACE, lambda s: s.gone_seconds),
    ("decided a second", "/s", AIM_PACE, lambda s: s.decided_per_second),
    ("pressed → decided p50", "ms", AIM_WAIT, lambda s: _wait(s, "pressed_to_decided", "p50")),
    ("pressed → decided p99", "ms", None, lambda s: _wait(s, "pressed_to_decided", "p99")),
    ("pressed → accepted p50", "ms", None, lambda s: _wait(s, "pressed_to_accepted", "p50")),
    ("accepted → decided p50", "ms", None, lambda s: _wait(s, "accepted_to_decided", "p50")),
    ("refused at the door p50", "ms", None, lambda s: _wait(s, "pressed_to_refused", "p50")),
    ("decided", "people", None, lambda s: float(s.decided)),
    ("refused at the door", "people", None, lambda s: float(s.ends["refused_at_door"])),
    ("in line at most", "people", None, lambda s: float(s.depth_max)),
)


def compare(
    predicted: Summary,
    measured: Summary,
    predicted_cpu: Mapping[str, float],
    measured_cpu: Mapping[str, float],
) -> list[Row]:
    """Every figure that either has, and the CPU of each resource: where costs are wrong, and not the queues."""
    rows = [
        Row(what=what, unit=unit, aim=aim, predicted=read(predicted), measured=read(measured))
        for what, unit, aim, read in _FIGURES
    ]
    rows += [
        Row(what=f"CPU of {name}", unit="s", aim=None, predicted=predicted_cpu[name], measured=cpu)
        for name, cpu in measured_cpu.items()
    ]
    return [row for row in rows if row.predicted is not None or row.measured is not None]


def _wait(summary: Summary, kind: str, figure: str) -> float | None:
    return summary.waits_ms.get(kind, {}).get(figure)
