"""Where a value stands on an axis, and which values are written beside it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Place = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Axis:
    """`place` gives a share of the axis' length, 0 … 1; `ticks` are the values that are written."""

    place: Place
    ticks: Sequence[float]


def linear(largest: float) -> Axis:
    """From 0 to a round number that is not below the largest value, so that lengths may be compared."""
    step = _round_up((largest or 1.0) / 4)
    steps = max(1, math.ceil((largest or 1.0) / step - 1e-9))
    top = steps * step
    return Axis(lambda value: value / top, [step * index for index in range(steps + 1)])


def logarithmic(least: float, largest: float) -> Axis:
    """For values that span orders of magnitude; what is not above 0 stands at the beginning."""
    low = max(least, largest / 1e6, 1e-9)
    high = max(largest, low * 1.5)
    span = math.log(high / low)

    def place(value: float) -> float:
        return min(1.0, max(0.0, math.log(max(value, low) / low) / span))

    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = [10.0**power for power in range(first, last + 1)]
    factors = (1,) if len(decades) > 4 else (1, 3) if len(decades) > 2 else (1, 2, 5)
    ticks = [decade * factor for decade in decades for factor in factors]
    return Axis(place, [tick for tick in ticks if low <= tick <= high])


def nines(shares: Sequence[float]) -> Axis:
    """Percentiles: each nine more takes as much room as the one before, the largest value stands at the end."""
    finest = max((share for share in shares if share < 1), default=0.5)
    end = -math.log10(1 - finest) + 0.3

    def place(share: float) -> float:
        return 1.0 if share >= 1 else float(-math.log10(1 - share) / end)

    return Axis(place, [share for share in (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999) if share <= finest])


def evenly(values: Sequence[float]) -> Axis:
    """A few values, each as far from the next: 1, 2 and 4 processes."""
    count = len(values)
    places = {value: (index + 0.5) / count for index, value in enumerate(values)}
    return Axis(places.__getitem__, list(values))


def _round_up(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= value * (1 - 1e-9))
