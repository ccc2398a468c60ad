"""Faults of the servers and of the ways to them: kind → a function that injects, heals and says what it was."""

import random
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Final

from scripts.trials.faults.deeds import Deed
from scripts.trials.faults.network import network_faults, postgres_needle, redis_needle
from scripts.trials.faults.postgres import POSTGRES_FAULTS
from scripts.trials.faults.redis import REDIS_FAULTS
from scripts.trials.history import Fault
from scripts.trials.site import Site

Inject = Callable[[Site, random.Random], Fault]

_WAY_TO_REDIS: Final = network_faults("Redis", lambda site: site.redis_proxy, redis_needle)
_WAY_TO_POSTGRES: Final = network_faults("PostgreSQL", lambda site: site.postgres_proxy, postgres_needle)
_NEEDS: Final = {"clock": "clock", "disk full": "disk"}  # words of a kind → what a site must have for it


def _injects(place: str, deeds: Mapping[str, Deed]) -> dict[str, Inject]:
    return {kind: _inject(kind, place, deed) for kind, deed in deeds.items()}


def _inject(kind: str, place: str, deed: Deed) -> Inject:
    """A fault that hit nobody has no target: it does not count."""
    places = ("postgres", "redis") if kind.startswith("both") else (place,)

    def inject(site: Site, chance: random.Random) -> Fault:
        with ExitStack() as stack:
            for each in places:
                stack.enter_context(site.turns[each])
            began = time.monotonic()
            done = deed(site, chance)
        return Fault(
            kind=kind,
            target=place if done.hit else "",
            began_at=began,
            ended_at=time.monotonic(),
            note=done.note,
            loses_since=done.loses_since,
        )

    return inject


SERVER_FAULTS: Final[dict[str, Inject]] = {
    **_injects("redis", REDIS_FAULTS),
    **_injects("postgres", POSTGRES_FAULTS),
    **_injects("redis_proxy", _WAY_TO_REDIS),
    **_injects("postgres_proxy", _WAY_TO_POSTGRES),
}


def left_out(site: Site) -> dict[str, str]:
    """Kinds that this machine cannot do, and why."""
    return {
        kind: site.missing[need]
        for kind in SERVER_FAULTS
        for word, need in _NEEDS.items()
        if word in kind and need in site.missing
    }
