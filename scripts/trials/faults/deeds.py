"""What a fault is before it becomes a record: a deed done to a site, and what came of it."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from scripts.trials.site import Site

# Shorter than every time-out, between them, and longer than all: a client waits 1 to 3 s for Redis and 10 s for
# PostgreSQL, a claim lives 3 s in silence.
_OUTAGES: Final = ((0.5, 1.0), (1.0, 4.0), (4.0, 12.0))


@dataclass(slots=True, kw_only=True)
class Done:
    """What came of a deed. `hit`: it met what it was meant for. `loses_since`: as a fault's."""

    note: str = ""
    hit: bool = True
    loses_since: float | None = None


Deed = Callable[[Site, random.Random], Done]


def outage(chance: random.Random) -> float:
    """How many seconds something stays away."""
    return chance.uniform(*chance.choice(_OUTAGES))


def a_moment(chance: random.Random) -> float:
    """How many seconds a server needs at least to be started again by somebody."""
    return chance.uniform(0.0, 1.0)
