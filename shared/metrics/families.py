"""One process' own figures: plain numbers in plain dictionaries.

prometheus-client's own multiprocess mode takes a lock and several writes to mapped memory for each observation,
picks its folder from an environment variable at import, and can add only one observation at a time. An accept
costs 230 µs of CPU altogether; here an observation costs a look-up and two additions, and `shared/metrics/files.py`
tells the other processes once a second.

No lock: under greenlets nothing comes between, and under threads CPython gives way only at calls and jumps, of
which `series[i] += 1` has none.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Final

# Labels come from our own code and routes; this many combinations are more than it has, and a mistake stays small.
SERIES_MAX: Final = 2_000

OTHER: Final = "other"

Labels = tuple[str, ...]
# Numbers that add up: two processes' series of the same labels are added element by element.
Series = list[float]


class Family:
    """Series of one name, told apart by labels. `size` is how many numbers each has."""

    __slots__ = ("help", "labels", "name", "series", "size")

    def __init__(self, name: str, help_text: str, labels: Labels, size: int) -> None:
        self.name, self.help, self.labels, self.size = name, help_text, labels, size
        self.series: dict[Labels, Series] = {}

    def get(self, labels: Labels) -> Series:
        """The series of `labels`, made when it is new; everything beyond SERIES_MAX is one series `other`."""
        series = self.series.get(labels)
        if series is None:
            if len(self.series) >= SERIES_MAX:
                labels = (OTHER,) * len(self.labels)
            series = self.series.setdefault(labels, [0] * self.size)
        return series


class Counts(Family):
    """How often something happened."""

    __slots__ = ()

    def __init__(self, name: str, help_text: str, labels: Labels) -> None:
        super().__init__(name, help_text, labels, 1)

    def add(self, labels: Labels) -> None:
        """One more."""
        self.get(labels)[0] += 1


class Timings(Family):
    """How long something took: how often up to each bound, how often longer, and the sum of seconds."""

    __slots__ = ("bounds",)

    def __init__(self, name: str, help_text: str, labels: Labels, bounds: Sequence[float]) -> None:
        super().__init__(name, help_text, labels, len(bounds) + 2)
        self.bounds = tuple(bounds)

    def observe(self, labels: Labels, seconds: float) -> None:
        """One more, that took `seconds`."""
        series = self.series.get(labels) or self.get(labels)
        series[bisect_left(self.bounds, seconds)] += 1
        series[-1] += seconds

    @contextmanager
    def time(self, labels: Labels) -> Iterator[None]:
        """Observes the block, however it ends. Costs 1 µs more than `observe`."""
        started = perf_counter()
        try:
            yield
        finally:
            self.observe(labels, perf_counter() - started)


HTTP_REQUESTS: Final = Timings(
    "http_request_duration_seconds",
    "Time from a request's arrival in the API until its answer was ready; streams until they began.",
    ("method", "route", "status_code"),
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
DB_QUERIES: Final = Timings(
    "db_query_duration_seconds",
    "Time of a statement in PostgreSQL, the way there and back included.",
    ("operation", "table"),
    (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
REDIS_OPERATIONS: Final = Timings(
    "redis_operation_duration_seconds",
    "Time of a script, command or pipeline in Redis, the way there and back included.",
    ("operation",),
    (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
LOG_INS: Final = Counts(
    "login_attempts_total", "Passwords shown to log in, or once more to confirm it.", ("status",)
)

LOG_IN_STATUSES: Final = ("succeeded", "failed", "throttled")

FAMILIES: Final[tuple[Family, ...]] = (HTTP_REQUESTS, DB_QUERIES, REDIS_OPERATIONS, LOG_INS)
