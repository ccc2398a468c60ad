"""Processes killed at named points: the moment at which a certain message is on its way to a server.

The proxy holds the message (or its reply) back, so that the process is known to be at that point; then it is killed.
"""

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import psutil

from scripts.trials.history import Fault
from scripts.trials.installation import Installation
from scripts.trials.proxy.client import Proxy
from scripts.trials.site import Site, script_needle

_PATIENCE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Point:
    """`needle`: what is sent there. `side` "before": the server never sees it; "after": it does, its reply is lost."""

    server: Literal["redis", "postgres"]
    needle: bytes
    side: Literal["before", "after"]


POINTS: Final = {
    "killed before accepting": Point("redis", script_needle("accept"), "before"),
    "killed after accepting": Point("redis", script_needle("accept"), "after"),
    "killed before taking": Point("redis", script_needle("take"), "before"),
    "killed after taking": Point("redis", script_needle("take"), "after"),
    "killed before writing decisions": Point("postgres", b"into decisions", "before"),
    "killed after writing decisions": Point("postgres", b"into decisions", "after"),
    "killed before COMMIT": Point("postgres", b"COMMIT", "before"),
    "killed after COMMIT": Point("postgres", b"COMMIT", "after"),
    "killed before replying": Point("redis", script_needle("reply"), "before"),
    "killed after replying": Point("redis", script_needle("reply"), "after"),
    "killed before claiming": Point("redis", script_needle("claim"), "before"),
    "killed before telling": Point("postgres", b"delete from outbox", "before"),
    "killed after telling": Point("postgres", b"delete from outbox", "after"),
}


def point_faults(installation: Installation) -> dict[str, Callable[[random.Random], Fault]]:
    """Kind → function that injects it. A point that nobody reaches within five seconds is told as no fault."""

    def inject(kind: str, point: Point) -> Callable[[random.Random], Fault]:
        return lambda _chance: _kill_at(installation, kind, point)

    return {kind: inject(kind, point) for kind, point in POINTS.items()}


def _kill_at(installation: Installation, kind: str, point: Point) -> Fault:
    proxy = _proxy(installation.site, point)
    drop = proxy.drop_request if point.side == "before" else proxy.drop_reply
    with installation.site.turns[
        f"{point.server}_proxy"
    ]:  # another fault's healing would let the process go on
        began, killed = time.monotonic(), ""
        name = drop(point.needle, then="hang")
        if proxy.await_hit(name, _PATIENCE_SECONDS):
            killed = ", ".join(filter(None, (_kill_owner(installation, port) for port in proxy.caught(name))))
        proxy.forget(name)
    return Fault(
        kind=kind, target=killed, began_at=began, ended_at=time.monotonic(), note=killed or "not reached"
    )


def _proxy(site: Site, point: Point) -> Proxy:
    return site.redis_proxy if point.server == "redis" else site.postgres_proxy


def _kill_owner(installation: Installation, port: int) -> str:
    """Kills the process at the other end of the proxy's connection; its name, empty when it is gone already."""
    for kept in installation.crew.everyone:
        for pid in installation.crew.pids_of(kept):
            if _owns(pid, port) and installation.crew.send(pid, signal.SIGKILL):
                return kept.name
    return ""


def _owns(pid: int, port: int) -> bool:
    try:
        return any(
            found.laddr.port == port for found in psutil.Process(pid).net_connections("tcp") if found.laddr
        )
    except psutil.Error:
        return False
