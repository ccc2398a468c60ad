"""Clocks that jump, and come back."""

import random
import time
from collections.abc import Iterable
from typing import Final

from scripts.trials.faults.deeds import Done, outage
from scripts.trials.servers.clock import WallClock

_JUMPS_SECONDS: Final = (0.5, 5.0, 60.0, 600.0, 3600.0)


def jump(clocks: Iterable[WallClock | None], chance: random.Random) -> Done:
    """All of them at once by the same, forwards or backwards, for a while."""
    moved = [clock for clock in clocks if clock is not None]
    seconds = chance.choice((-1, 1)) * chance.uniform(0.5, 1.0) * chance.choice(_JUMPS_SECONDS)
    stays = outage(chance)
    for clock in moved:
        clock.shift(seconds)
    try:
        time.sleep(stays)
    finally:
        for clock in moved:
            clock.shift(0.0)
    return Done(note=f"by {seconds:+.1f} s for {stays:.1f} s", hit=bool(moved))
