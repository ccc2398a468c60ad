"""How much of the machine a bench had for itself: what other programs use meanwhile is no fault of ours."""

import os
import threading
import time
from bisect import bisect_left, bisect_right

import psutil

_EVERY_SECONDS = 0.05


class CoresWatch:
    """Notes how busy the machine is, several times a second, until the block ends."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, float]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="cores", daemon=True)

    def __enter__(self) -> "CoresWatch":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()

    def available(self, from_: float, to: float, *, own_cpu_seconds: float) -> float:
        """Cores that others left between two instants of the wall clock, in which we used so much CPU ourselves."""
        instants = [instant for instant, _ in self._samples]
        first = max(0, bisect_right(instants, from_) - 1)
        last = min(len(instants) - 1, bisect_left(instants, to))
        seconds = instants[last] - instants[first]
        cores = float(os.cpu_count() or 1)
        if seconds <= 0:
            return cores
        own = own_cpu_seconds * seconds / max(to - from_, 1e-9)
        foreign = max(0.0, self._samples[last][1] - self._samples[first][1] - own) / seconds
        return max(cores - foreign, 0.01)

    def _watch(self) -> None:
        while True:
            self._samples.append((time.time(), _busy_seconds()))
            if self._ended.wait(_EVERY_SECONDS):
                self._samples.append((time.time(), _busy_seconds()))
                return


def _busy_seconds() -> float:
    """CPU time since the start of the machine in which a core was not idle, those of a hypervisor's others included."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))
