"""Faults of the servers and of the way to them: kind → a function that injects it, heals it and says what it was."""

import random
import time
from collections.abc import Callable
from typing import Final

from scripts.trials.history import Fault
from scripts.trials.site import Site

Inject = Callable[[Site, random.Random], Fault]


def _seconds(chance: random.Random) -> float:
    """How long an outage lasts: below every time-out, or above all of them."""
    return chance.choice((chance.uniform(0.5, 2.0), chance.uniform(2.0, 5.0), chance.uniform(5.0, 12.0)))


def _redis_crash(site: Site, chance: random.Random) -> Fault:
    began, seconds = time.monotonic(), _seconds(chance)
    site.redis.crash(seconds)
    return _over("redis_crash", "redis", began, f"down for {seconds:.1f} s")


def _over(kind: str, target: str, began: float, note: str = "") -> Fault:
    return Fault(kind=kind, target=target, began_at=began, ended_at=time.monotonic(), note=note)


SERVER_FAULTS: Final[dict[str, Inject]] = {"redis_crash": _redis_crash}
