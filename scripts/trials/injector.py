"""The hand that injects faults: lanes side by side, each with one fault at a time, all kinds in a seeded order."""

import random
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from scripts.trials.history import Fault

Injection = Callable[[random.Random], Fault]


@dataclass(slots=True)
class Lane:
    """Faults of one sort. `gap_seconds`: fewest and most between the end of one and the beginning of the next."""

    name: str
    injections: Mapping[str, Injection]
    gap_seconds: tuple[float, float]


@dataclass(slots=True)
class Injector:
    """Runs lanes until told to stop; a fault under way is healed first. `errors`: of the injector itself."""

    lanes: list[Lane]
    seed: int
    note: Callable[[Fault], None]
    errors: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Starts all lanes."""
        for lane in self.lanes:
            thread = threading.Thread(
                target=self._run, args=(lane,), name=f"faults: {lane.name}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Returns when the last fault is healed."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, lane: Lane) -> None:
        chance = random.Random(f"{self.seed}:{lane.name}")  # noqa: S311 - a plan, no secret
        for kind in rounds(list(lane.injections), chance):
            if self._over.wait(chance.uniform(*lane.gap_seconds)):
                return
            try:
                self.note(lane.injections[kind](chance))
            except Exception:  # noqa: BLE001 - the trial must end and say so, not hang half injected
                self.errors.append(f"{kind}: {traceback.format_exc()}")
                self._over.set()


def rounds(kinds: list[str], chance: random.Random) -> Iterator[str]:
    """All kinds in random order, again and again: no kind is left out of a long trial, none comes in a rhythm."""
    while kinds:
        yield from chance.sample(kinds, len(kinds))
