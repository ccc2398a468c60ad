"""A line that is full in every partition, for `scaling`, and workers that stand ready before it."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Final

from scripts.benches.deciding import REQUESTS_PER_SEAT
from scripts.benches.fill import fill_here
from scripts.benches.installation import Installation
from scripts.benches.processes import START_SECONDS, BenchError, Process
from shared.db import transaction
from shared.line import keys
from shared.line.look import look_at_workers
from shared.services import line_pause

_FILLERS: Final = 2
_BALANCE_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.01


@dataclass(frozen=True, slots=True)
class FullLine:
    """An event in each partition with `share` requests each, and running workers; nobody decides until `release`."""

    installation: Installation
    workers: Sequence[Process]
    event_ids: Sequence[int]
    share: int

    @property
    def depth(self) -> int:
        """Requests of all events."""
        return self.share * len(self.event_ids)

    def release(self) -> None:
        """Lets the workers decide: all wake up at once, instead of within a second."""
        _set_pause(self.installation, paused=False)
        for partition in range(self.installation.settings.partitions):
            self.installation.redis.rpush(keys.bell(partition), 1)

    def release_with_next(self) -> None:
        """The same as soon as somebody else's request stands in the line too; blocks until then. Raises BenchError when
        nobody comes.
        """
        waiting = self.installation.count_waiting()
        deadline = time.monotonic() + START_SECONDS
        while self.installation.count_waiting() == waiting:
            if time.monotonic() > deadline:
                raise BenchError("nobody accepts beside the workers")
            time.sleep(_LOOK_SECONDS)
        self.release()

    def wait_decided(self) -> None:
        """Returns once everything is decided."""
        for event_id in self.event_ids:
            self.installation.wait_decided(self.workers[0], event_id, self.share)


@contextmanager
def full_line(
    installation: Installation, user_ids: list[int], count: int, *, workers: int, batch_max: int
) -> Iterator[FullLine]:
    """So many requests, evenly over the partitions, and workers that share these evenly. The line is paused."""
    partitions = installation.settings.partitions
    share = max(1, count // partitions)
    _set_pause(installation, paused=True)
    with ExitStack() as stack:
        running = [stack.enter_context(installation.worker(batch_max=batch_max)) for _ in range(workers)]
        event_ids = [installation.make_event(max(1, share // REQUESTS_PER_SEAT)) for _ in range(partitions)]
        _fill(installation, event_ids, user_ids[:share])
        running[0].wait_until(
            lambda: _is_shared_evenly(installation, workers),
            what="evenly shared partitions",
            seconds=_BALANCE_SECONDS,
        )
        yield FullLine(installation, running, event_ids, share)


def _set_pause(installation: Installation, *, paused: bool) -> None:
    with transaction(installation.engine) as session:
        (line_pause.pause if paused else line_pause.resume)(session, actor_id=None, by="bench")


def _is_shared_evenly(installation: Installation, workers: int) -> bool:
    time.sleep(0.1)  # asked without pause, this would be the busiest program of the machine
    looks = [look for look in look_at_workers(installation.redis) if look.live]
    held = [len(look.partitions) for look in looks]
    most = -(-installation.settings.partitions // workers)
    return len(held) == workers and sum(held) == installation.settings.partitions and max(held) <= most


def _fill(installation: Installation, event_ids: Sequence[int], user_ids: list[int]) -> None:
    with ProcessPoolExecutor(_FILLERS, mp_context=get_context("spawn")) as pool:
        for done in [
            pool.submit(fill_here, installation.settings, event_id, user_ids) for event_id in event_ids
        ]:
            done.result()
