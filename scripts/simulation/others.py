"""What else goes on on this machine while something is measured: who wants its cores, and how fast they are."""

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from scripts.benches.figures import median
from scripts.benches.processes import family
from scripts.simulation.scenario import OTHERS_SECONDS

_SAMPLE_SECONDS: Final = 0.4  # a look reads a line of every process there is: some 10 ms
_WORK_TIMES: Final = 10
_WORK: Final = {f"name {index}": [index, str(index), {"at": index / 7}] for index in range(300)}
_RECORD_BYTES: Final = 1_000
_AUTOGROUP: Final = Path("/proc/sys/kernel/sched_autogroup_enabled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """`others`: how many others wanted a core, on average in each step of OTHERS_SECONDS. `work_us`: the CPU of a piece
    of work that is always the same, on average. `sync_us`: how long the disk took, median.
    """

    others: tuple[float, ...]
    work_us: float
    sync_us: float


class Others:
    """Samples until the block ends.

    How many wanted a core: programs, or whole terminals' worth of them where the kernel shares cores between those,
    that are neither these processes nor their children nor this one's. And how much CPU a piece of work takes that is
    always the same: more while the other half of a core and its caches are somebody else's. And how long the disk takes
    for what Redis writes at a time, in `folder`.
    """

    def __init__(self, pids: Sequence[int], folder: Path) -> None:
        self._file = folder / "sync"
        self._roots = [*pids, os.getpid()]
        self._by_session = _AUTOGROUP.exists() and _AUTOGROUP.read_text().strip() == "1"
        self._seen: list[tuple[float, int]] = []
        self._work_us: list[float] = []
        self._sync_us: list[float] = []
        self._began = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Others":
        self._began = time.time()
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _steps(self, began: float) -> tuple[float, ...]:
        found: list[list[int]] = []
        for at, count in self._seen:
            step = int((at - began) / OTHERS_SECONDS)
            if at >= began:
                found += [[] for _ in range(step + 1 - len(found))]
                found[step].append(count)
        return tuple(round(sum(counts) / len(counts), 2) if counts else 0.0 for counts in found)

    def found(self, began: float | None = None) -> Surroundings:
        """What was seen since `began`, by the wall clock; left out, since the block began."""
        return Surroundings(
            others=self._steps(self._began if began is None else began),
            work_us=sum(self._work_us) / len(self._work_us) if self._work_us else _work(),
            sync_us=median(self._sync_us or [sync(self._file)]),
        )

    def _watch(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            self._seen.append((time.time(), self._look()))
            self._work_us.append(_work())
            self._sync_us.append(sync(self._file))

    def _look(self) -> int:
        own = set(family(self._roots))
        sessions = {os.getsid(0)}
        wanting: list[tuple[int, int]] = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            state, session = _state_and_session(folder)
            if int(folder.name) in own:
                sessions.add(session)
            elif state == "R":
                wanting.append((int(folder.name), session))
        if self._by_session:
            return len({session for _, session in wanting} - sessions)
        return len(wanting)


def _work() -> float:
    """µs of CPU for reading and writing a document over and over, as a server does."""
    began = time.thread_time()
    for _ in range(_WORK_TIMES):
        orjson.loads(orjson.dumps(_WORK))
    return 1e6 * (time.thread_time() - began)


def sync(path: Path) -> float:
    """µs until so much as a request writes into Redis' file is on the disk."""
    with path.open("ab", buffering=0) as file:
        file.write(bytes(_RECORD_BYTES))
        began = time.perf_counter()
        os.fdatasync(file.fileno())
        return 1e6 * (time.perf_counter() - began)


def _state_and_session(folder: Path) -> tuple[str, int]:
    try:
        # After the name in brackets, which may hold anything: state, parent, group, session.
        fields = (folder / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return "", 0
    return fields[0], int(fields[3])
