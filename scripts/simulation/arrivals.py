"""When people press the button: four shapes of a sale's opening, in seconds after it."""

import math
import random
from collections.abc import Callable
from typing import Final, Literal, get_args

Profile = Literal["flat", "poisson", "burst", "sell-out"]
PROFILES: Final[tuple[Profile, ...]] = get_args(Profile)

# Of a burst: after a sixth of the time 63 % have pressed, after half of it 95 %.
BURST_MEAN: Final = 1 / 6

# A real sale that was sold out after 13 s: 967 reservations in 17 s, at most 134 in one second, and far more requests
# than seats. A rise and a longer fall (the gamma curve of shape 2) of this scale, as a share of the time, has that peak
# and 97 % before 13 s.
SELL_OUT_SECONDS: Final = 17.0
SELL_OUT_RESERVATIONS: Final = 967
SELL_OUT_PEAK: Final = 134
SELL_OUT_SCALE: Final = 0.1568


def press_times(profile: Profile, people: int, *, seconds: float, seed: int) -> list[float]:
    """The moment at which each of `people` presses, never going back; all within `seconds`."""
    if profile == "flat":
        return [seconds * (index + 0.5) / people for index in range(people)]
    chance = random.Random(seed)  # noqa: S311 - a simulation, no secret
    shape = _SHAPES[profile]
    return sorted(min(seconds * shape(chance.random()), seconds) for _ in range(people))


def _poisson(share: float) -> float:
    """Independent people: that so many come within the time given, each moment is as likely as any other."""
    return share


def _burst(share: float) -> float:
    return -BURST_MEAN * math.log1p(-share * -math.expm1(-1 / BURST_MEAN))


def _sell_out(share: float) -> float:
    """The inverse of 1 - (1 + x)e^-x by Newton's steps, x in units of the scale."""
    end = 1 / SELL_OUT_SCALE
    wanted = share * (1 - (1 + end) * math.exp(-end))
    x = max(math.sqrt(2 * wanted), 1e-9) if wanted < 0.26 else 2.0
    for _ in range(50):
        step = (1 - (1 + x) * math.exp(-x) - wanted) / (x * math.exp(-x))
        x = max(x - step, x / 2)
        if abs(step) < 1e-9:
            break
    return min(x * SELL_OUT_SCALE, 1.0)


_SHAPES: Final[dict[str, Callable[[float], float]]] = {
    "poisson": _poisson,
    "burst": _burst,
    "sell-out": _sell_out,
}
