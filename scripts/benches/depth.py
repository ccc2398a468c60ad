"""What accepting, status, stats and details cost when the line is long, against an empty one."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import chain
from typing import Final

from scripts.benches.calls import Caller, admin_of
from scripts.benches.figures import Figure, Measurement, percentile
from scripts.benches.installation import Installation, Laboratory
from scripts.benches.looks import Looks, compare, times
from scripts.benches.series import Distribution
from scripts.benches.sizes import Sizes
from scripts.benches.web import Web

CONNECTIONS: Final = 8
TURNS: Final = 20
_TURNS_SHORT: Final = 3  # of a run of one round: a turn's load takes longer to start than to send
_MEMORY: Final = "4gb"  # a million requests that wait are more than an installation's usual limit
DETAILS: Final = "/api/admin/queue/details?limit=25"


def measure(laboratory: Laboratory) -> Measurement:
    """Two installations, each with a Redis and an API process of its own, are asked in turns; no worker runs."""
    sizes = laboratory.sizes
    turns = TURNS if sizes.rounds > 1 else _TURNS_SHORT
    measurement = Measurement()
    with ExitStack() as stack:
        deep, empty = (
            stack.enter_context(laboratory.installation(measurement, own_redis=True, is_decided=False))
            for _ in range(2)
        )
        deep.redis.config_set("maxmemory", _MEMORY)
        sides = [stack.enter_context(_side(deep, sizes.depth)), stack.enter_context(_side(empty, 0))]
        accepts: list[list[list[float]]] = [[] for _ in sides]
        for _ in range(turns):
            for side, found in zip(sides, accepts, strict=True):
                found.append(side.accept())
        looks = compare(*(side.looks for side in sides), rounds=sizes.rounds)
    measurement.figures = [
        *_accept_figures(*accepts, sizes=sizes, turns=turns),
        *looks,
    ]
    measurement.distributions = [
        Distribution(what=f"accepts, {where}", values=list(chain.from_iterable(of_turns)))
        for where, of_turns in zip((f"{sizes.depth:,} waiting", "an empty line"), accepts, strict=True)
    ]
    return measurement


class _Side:
    """An API in front of a line, who asks it for tickets, and who asks it how it is."""

    def __init__(self, installation: Installation, web: Web, depth: int) -> None:
        self._web = web
        self._tokens = installation.make_tokens(installation.laboratory.sizes.depth_probes)
        self._event_id = installation.make_event(max(depth, 1))
        if depth:
            installation.fill(self._event_id, installation.make_users(depth))
            installation.wait_rewritten()
        web.warm_up(self._event_id, self._tokens)
        person, admin = Caller(web.port, self._tokens[0]), admin_of(installation, web.port)
        job_id = person.call("POST", f"/api/bookings/{self._event_id}/book", {"tickets": 1})["job_id"]
        self.looks = Looks(
            {
                "status of one that waits": (person, f"/api/bookings/status/{job_id}"),
                "stats": (admin, "/api/admin/queue/stats"),
                "details": (admin, DETAILS),
            }
        )

    def accept(self) -> list[float]:
        """Milliseconds of an accept for each who asks."""
        requests = [self._web.booking(self._event_id, token) for token in self._tokens]
        outcome = self._web.load(requests, connections=min(CONNECTIONS, len(requests)))
        return [seconds * 1000 for seconds in outcome.latencies]


@contextmanager
def _side(installation: Installation, depth: int) -> Iterator[_Side]:
    with installation.web(web_processes=1) as web:
        side = _Side(installation, web, depth)
        with closing(side.looks):
            yield side


def _accept_figures(
    deep: list[list[float]], empty: list[list[float]], *, sizes: Sizes, turns: int
) -> list[Figure]:
    """Of milliseconds by turn."""
    p50, p50_empty = ([percentile(turn, 0.5) for turn in side] for side in (deep, empty))
    p99, p99_empty = (percentile(list(chain.from_iterable(side)), 0.99) for side in (deep, empty))
    probes = (turns + 1) * sizes.depth_probes
    note = f"at depth 0 … {probes:,}; {CONNECTIONS} connections, {turns} turns"
    return [
        times(f"accept p50 at depth {sizes.depth:,}, × empty line", p50, p50_empty, unit="ms", note=note),
        Figure(
            what="  accept p99", value=p99 / p99_empty, unit="×", note=f"{p99:.2f} ms, {p99_empty:.2f} ms"
        ),
    ]
