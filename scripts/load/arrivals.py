"""When requests are due: the three kinds of load."""

import random
from collections.abc import Iterator
from typing import Literal

Arrivals = Literal["closed", "poisson", "burst"]


def due_times(arrivals: Arrivals, count: int, *, rate: float, seed: int) -> Iterator[float]:
    """Seconds after the start at which each of `count` requests is due, never going back.

    `closed`: as soon as a connection is free (each client waits for its answer before it asks again). `burst`:
    all at once, as when a sale opens. `poisson`: independent people, `rate` a second on average; the load does
    not wait for a slow server.
    """
    if arrivals != "poisson":
        yield from (0.0 for _ in range(count))
        return
    if rate <= 0:
        raise ValueError("poisson arrivals need a rate")
    chance = random.Random(seed)  # noqa: S311 - a load, no secret
    due = 0.0
    for _ in range(count):
        due += chance.expovariate(rate)
        yield due
