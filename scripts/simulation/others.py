"""Who else wants the cores of this machine while something is measured on it."""

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from scripts.benches.processes import BenchError, family

_SAMPLE_SECONDS: Final = 0.05
_FAMILY_EVERY: Final = 20  # samples: finding one's children reads every process there is


class Others:
    """Samples until the block ends how many programs run or wait for a core that are neither these processes, their
    children, nor this one's.
    """

    def __init__(self, pids: Sequence[int]) -> None:
        self._roots = [*pids, os.getpid()]
        self._seen: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Others":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def mean(self) -> float:
        """On average so far."""
        return sum(self._seen) / max(len(self._seen), 1)

    def _watch(self) -> None:
        own: list[int] = []
        while not self._stop.wait(_SAMPLE_SECONDS):
            if len(self._seen) % _FAMILY_EVERY == 0:
                own = family(self._roots)
            self._seen.append(max(_count_running() - sum(map(_runs, own)), 0))


def _runs(pid: int) -> bool:
    with suppress(OSError):
        # After the name in brackets, which may hold anything.
        return (
            Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2][1]
            == "R"
        )
    return False


def _count_running() -> int:
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        if line.startswith("procs_running"):
            return int(line.split()[1])
    raise BenchError("/proc/stat does not say how many processes run")
