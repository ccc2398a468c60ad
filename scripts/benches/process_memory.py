"""How large the processes and Redis are over very many decisions, and whether they grow."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from scripts.benches.figures import Figure, Measurement
from scripts.benches.installation import Installation, Laboratory
from scripts.benches.processes import Process, private_megabytes, resident_megabytes
from scripts.benches.series import Curve, Line, Point
from scripts.benches.web import Web
from shared.domain.partitions import partition_of
from shared.line import keys
from shared.settings import Settings

BAR_MEGABYTES: Final = 90
# From the end of the warm-up to the end, on the straight line that fits best: less is noise.
BAR_TIMES: Final = 1.1
WARM_UP: Final = 0.2  # of the decisions: caches fill, allocators find their size
CONNECTIONS: Final = 64
STEPS_MAX: Final = 20
STEP_MIN: Final = 2_000
REQUESTS_PER_SEAT: Final = 4
_DELETED_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Sample:
    """Sizes in MB after so many decisions."""

    decided: int
    api: float
    worker: float
    redis: float
    redis_resident: float


def measure(laboratory: Laboratory) -> Measurement:
    """One worker decides everything, in one partition; part of each step comes over HTTP, in the end from more users
    than the API remembers. Everything runs from the first decision to the last.

    What Redis keeps of one day, the idempotency records, is dropped after each step, as if a day went by.
    """
    sizes = laboratory.sizes
    measurement = Measurement()
    kept = min(Settings().jobs_kept_max, sizes.memory_decisions // 10)
    with (
        laboratory.installation(measurement, own_redis=True, jobs_kept_max=max(1, kept)) as installation,
        installation.worker() as worker,
        installation.web() as web,
    ):
        steps = _Steps(installation, worker, web)
        samples = [steps.take() for _ in range(steps.count)]
        own = [private_megabytes(pids) for pids in (web.worker_pids, worker.pids)]
    lines = {
        "API process": [(sample.decided, sample.api) for sample in samples],
        "worker process": [(sample.decided, sample.worker) for sample in samples],
        "Redis": [(sample.decided, sample.redis) for sample in samples],
    }
    notes = {
        "API process": f"resident, the larger of two; {own[0]:.1f} MB are its own;"
        f" {sizes.memory_requests:,} of the decisions were asked for over HTTP",
        "worker process": f"resident, over {samples[-1].decided:,} decisions; {own[1]:.1f} MB are its own",
        "Redis": f"{kept:,} decided jobs, without a day's idempotency records;"
        f" resident {samples[-1].redis_resident:.0f} MB",
    }
    for name, points in lines.items():
        bar = None if name == "Redis" else BAR_MEGABYTES
        value = max(megabytes for _, megabytes in points)
        measurement.figures += [
            Figure(what=name, value=value, unit="MB", bar=bar, at_most=True, note=notes[name]),
            growth(points),
        ]
    measurement.curves = [
        Curve(
            what="memory over decisions",
            x="decisions",
            lines=[Line(name=name, points=points) for name, points in lines.items()],
            unit="MB",
        )
    ]
    return measurement


class _Steps:
    """The same work again and again."""

    def __init__(self, installation: Installation, worker: Process, web: Web) -> None:
        sizes = installation.laboratory.sizes
        self._installation, self._worker, self._web = installation, worker, web
        self.count = max(2, min(STEPS_MAX, sizes.memory_decisions // STEP_MIN))
        self._requests = max(1, sizes.memory_requests // self.count)
        self._filled = max(1, sizes.memory_decisions // self.count - self._requests)
        self._tokens = installation.make_tokens(sizes.memory_users)
        self._user_ids = installation.make_users(self._filled)
        self._partition: int | None = None
        self._asked = self._decided = 0

    def take(self) -> _Sample:
        """One step, and how large everything is after it."""
        first = self._asked
        tokens = [self._tokens[n % len(self._tokens)] for n in range(first, first + self._requests)]
        self._asked += self._requests
        event_id = self._make_event(self._requests)
        self._web.load([self._web.booking(event_id, token) for token in tokens], connections=CONNECTIONS)
        self._wait(event_id, self._requests)
        event_id = self._make_event(self._filled)
        self._installation.fill(event_id, self._user_ids)
        self._wait(event_id, self._filled)
        _forget_a_day(self._installation)
        memory = self._installation.redis.info("memory")
        return _Sample(
            decided=self._decided,
            api=resident_megabytes(self._web.worker_pids),
            worker=resident_megabytes(self._worker.pids),
            redis=int(memory["used_memory"]) / 1e6,
            redis_resident=int(memory["used_memory_rss"]) / 1e6,
        )

    def _make_event(self, requests: int) -> int:
        """Every one in the same partition, so that what Redis keeps of one is soon complete."""
        while True:
            event_id = self._installation.make_event(max(1, requests // REQUESTS_PER_SEAT))
            partition = partition_of(event_id, self._installation.settings.partitions)
            if self._partition in (None, partition):
                self._partition = partition
                return event_id

    def _wait(self, event_id: int, count: int) -> None:
        installation = self._installation
        installation.wait_decided(self._worker, event_id, count)
        self._worker.wait_until(lambda: not installation.count_waiting(), what="the last reply")
        self._decided += count


def _forget_a_day(installation: Installation) -> None:
    redis = installation.redis
    cursor = 0
    while True:
        cursor, found = redis.scan(cursor, match=keys.idempotency("*", "*"), count=_DELETED_AT_ONCE)
        if found:
            redis.unlink(*found)
        if not cursor:
            return


def growth(sizes: Sequence[Point]) -> Figure:
    """(decisions, MB) → how many times as large it is at the end as when it was warm."""
    warm = sizes[int(len(sizes) * WARM_UP) :]
    line = statistics.linear_regression([x for x, _ in warm], [y for _, y in warm])
    first, last = (line.intercept + line.slope * x for x, _ in (warm[0], warm[-1]))
    return Figure(
        what="  at the end, × warm",
        value=last / first,
        unit="×",
        bar=BAR_TIMES,
        at_most=True,
        note=f"{line.slope * 1e6:+.2f} MB for a million decisions; {len(warm)} samples from {warm[0][0]:,.0f} on",
    )
