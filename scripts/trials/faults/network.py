"""Faults of the way between the processes and a server."""

import random
import time
from collections.abc import Callable
from typing import Final

from scripts.trials.faults.deeds import Deed, Done, outage
from scripts.trials.proxy.client import Proxy
from scripts.trials.proxy.door import Shut
from scripts.trials.proxy.snares import Drops, Then
from scripts.trials.site import Site, script_needle

_SHARES: Final = (0.05, 0.3, 1.0)
_THEN: Final[tuple[Then, ...]] = ("cut", "hang")
_SHUT: Final[tuple[Shut, ...]] = ("refused", "closed", "ignored")
_HIT_SECONDS: Final = 5.0
_HITS_MAX: Final = 5
# Scripts that change something: a lost answer leaves whoever ran them in doubt.
_REDIS_NEEDLES: Final = ("accept", "take", "reply", "claim")
_COMMIT: Final = b"COMMIT"

Where = Callable[[Site], Proxy]
Needle = Callable[[random.Random], tuple[str, bytes]]


def network_faults(name: str, where: Where, needle: Needle) -> dict[str, Deed]:
    """Kind → deed, of the way to the server called `name`."""
    return {
        f"way to {name}: slow": lambda site, chance: _delay(where(site), chance),
        f"way to {name}: trickling": lambda site, chance: _trickle(where(site), chance),
        f"way to {name}: connections cut": lambda site, chance: _cut(where(site), chance),
        f"way to {name}: cut in mid-message": lambda site, chance: _cut_in_message(where(site), chance),
        f"way to {name}: closed": lambda site, chance: _shut(where(site), chance),
        f"way to {name}: silent": lambda site, chance: _freeze(where(site), chance),
        f"way to {name}: flapping": lambda site, chance: _flap(where(site), chance),
        f"way to {name}: reply lost": lambda site, chance: _lose(site, where, needle, "reply", chance),
        f"way to {name}: request lost": lambda site, chance: _lose(site, where, needle, "request", chance),
    }


def redis_needle(chance: random.Random) -> tuple[str, bytes]:
    """A script."""
    name = chance.choice(_REDIS_NEEDLES)
    return name, script_needle(name)


def postgres_needle(_chance: random.Random) -> tuple[str, bytes]:
    """The end of a transaction."""
    return "COMMIT", _COMMIT


def _delay(proxy: Proxy, chance: random.Random) -> Done:
    late, share, seconds = chance.choice((0.02, 0.3, 1.5, 4.0)), chance.choice(_SHARES), outage(chance)
    proxy.delay(late, share)
    _wait_and_heal(proxy, seconds)
    return Done(note=f"{share:.0%} of the messages {late} s late, {seconds:.1f} s long")


def _trickle(proxy: Proxy, chance: random.Random) -> Done:
    seconds = outage(chance)
    proxy.trickle()
    _wait_and_heal(proxy, seconds)
    return Done(note=f"{seconds:.1f} s")


def _cut(proxy: Proxy, chance: random.Random) -> Done:
    cut = proxy.cut(chance.choice(_SHARES))
    return Done(note=f"{cut} connections", hit=cut > 0)


def _cut_in_message(proxy: Proxy, chance: random.Random) -> Done:
    cut = proxy.cut_in_message(chance.choice(_SHARES))
    _wait_and_heal(proxy, chance.uniform(0.5, 2.0))
    return Done(note=f"{cut} connections", hit=cut > 0)


def _shut(proxy: Proxy, chance: random.Random) -> Done:
    how, seconds = chance.choice(_SHUT), outage(chance)
    proxy.refuse(how)
    cut = proxy.cut()
    _wait_and_heal(proxy, seconds)
    return Done(note=f"{cut} connections cut, new ones {how} for {seconds:.1f} s")


def _freeze(proxy: Proxy, chance: random.Random) -> Done:
    share, seconds = chance.choice(_SHARES), outage(chance)
    frozen = proxy.freeze(share)
    _wait_and_heal(proxy, seconds)
    return Done(note=f"{frozen} connections, {seconds:.1f} s", hit=frozen > 0)


def _flap(proxy: Proxy, chance: random.Random) -> Done:
    times = chance.randrange(3, 10)
    for _ in range(times):
        proxy.freeze()
        _wait_and_heal(proxy, chance.uniform(0.05, 0.8))
        proxy.cut(chance.choice(_SHARES))
        time.sleep(chance.uniform(0.05, 0.8))
    return Done(note=f"{times} times")


def _lose(site: Site, where: Where, needle: Needle, drops: Drops, chance: random.Random) -> Done:
    proxy, (said, text), then = where(site), needle(chance), chance.choice(_THEN)
    drop = proxy.drop_reply if drops == "reply" else proxy.drop_request
    snare = drop(text, then=then, times=chance.randint(1, _HITS_MAX))
    try:
        if said == "claim":
            site.postgres.end_claim_holders()  # or there would be nothing to claim
        if proxy.await_hit(snare, _HIT_SECONDS):
            time.sleep(outage(chance))
    finally:
        proxy.heal()
    hits = proxy.hits(snare)
    return Done(note=f"{said}, {then}, {hits} times", hit=hits > 0)


def _wait_and_heal(proxy: Proxy, seconds: float) -> None:
    try:
        time.sleep(seconds)
    finally:
        proxy.heal()
