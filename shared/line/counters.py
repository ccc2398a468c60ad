"""What the line counts about itself in Redis, once for all workers: the hash `guichet:metrics`.

Counted where a batch is replied, in the same script, and only when that reply took its jobs out of flight: so each
decision is counted once, whatever is sent twice.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from redis import Redis

from shared.line import keys
from shared.line.client import text_of

# Of accept → decide. A short line takes milliseconds, a sell-out minutes.
SECONDS_BOUNDS: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
)  # fmt: skip

DECIDED: Final = "decided:"
SECONDS: Final = "seconds:"
SECONDS_SUM: Final = "seconds:sum"
REISSUED: Final = "reissued"

# Found by `watch_ledger`, not by the code that decides.
OVERSELLS: Final = "oversells"
INVERSIONS: Final = "inversions"
GAPS: Final = "gaps"

_BUCKETS: Final = tuple(f"{SECONDS}{bound:g}" for bound in (*SECONDS_BOUNDS, float("inf")))


@dataclass(frozen=True, slots=True, kw_only=True)
class LineCounters:
    """Totals since this Redis was empty. `buckets` are not cumulative; the last is above every bound."""

    decided: Mapping[str, int] = field(default_factory=dict)  # by outcome
    buckets: tuple[int, ...] = (0,) * len(_BUCKETS)
    seconds_sum: float = 0.0
    reissued: int = 0
    oversells: int = 0
    inversions: int = 0
    gaps: int = 0


def increments(decisions: Iterable[tuple[str, float]], reissued: int = 0) -> dict[str, int | str]:
    """Field → what a batch adds to it; a decision is its outcome and its seconds from accept to decide."""
    counts: dict[str, int] = {}
    total = 0.0
    for outcome, seconds in decisions:
        name, bucket = DECIDED + outcome, _BUCKETS[bisect_left(SECONDS_BOUNDS, seconds)]
        counts[name] = counts.get(name, 0) + 1
        counts[bucket] = counts.get(bucket, 0) + 1
        total += seconds
    if reissued:
        counts[REISSUED] = reissued
    return {**counts, SECONDS_SUM: f"{total:.6f}"} if counts else {}  # the point tells the script what it is


def read_counters(redis: "Redis") -> LineCounters:
    """All of them. One round trip."""
    found = {text_of(name): text_of(value) for name, value in redis.hgetall(keys.METRICS).items()}

    def count(name: str) -> int:
        return int(float(found.get(name, 0)))

    return LineCounters(
        decided={name[len(DECIDED) :]: count(name) for name in found if name.startswith(DECIDED)},
        buckets=tuple(count(name) for name in _BUCKETS),
        seconds_sum=float(found.get(SECONDS_SUM, 0.0)),
        reissued=count(REISSUED),
        oversells=count(OVERSELLS),
        inversions=count(INVERSIONS),
        gaps=count(GAPS),
    )
