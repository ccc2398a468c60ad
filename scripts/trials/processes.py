"""The processes of a trial: kept running by a thread, until a fault says that one stays away for a while."""

import math
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from scripts.benches.processes import Process

WORKER: Final = ("-m", "worker", "bookings")
_TICK_SECONDS: Final = 0.05
_RESTART_SECONDS: Final = 0.3  # a process manager is no faster


@dataclass(slots=True)
class Kept:
    """A process that is started again when it ends. `away_until`: when that may happen at the earliest."""

    name: str
    group: str
    arguments: Sequence[str]
    process: Process | None = None
    away_until: float = 0.0
    deaths: int = 0
    codes: list[int] = field(default_factory=list)


class Crew:
    """Web, booking workers, task worker. Methods may be called from any thread."""

    def __init__(self, environ: Mapping[str, str], folder: Path, *, workers: int, port: int) -> None:
        self.port = port
        self._environ = environ
        self._folder = folder
        gunicorn = ["-m", "gunicorn", "--config", "api/gunicorn_conf.py", "api.wsgi:app"]
        self.web = Kept("web", "gunicorn", gunicorn)
        self.workers = [Kept(f"worker-{n}", "worker", WORKER) for n in range(workers)]
        self.tasks = Kept("tasks", "task worker", ["-m", "worker", "tasks"])
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="crew", daemon=True)

    @property
    def everyone(self) -> list[Kept]:
        """All processes that are kept."""
        return [self.web, *self.workers, self.tasks]

    def start(self) -> None:
        """Starts everything and keeps it running."""
        self._keeper.start()

    def stop(self) -> None:
        """Stops everything: SIGTERM, some patience, SIGKILL."""
        self._ended.set()
        self._keeper.join()
        for kept in self.everyone:
            if kept.process is not None:
                with suppress(ProcessLookupError):
                    os.killpg(kept.process.pid, signal.SIGCONT)
                kept.process.stop()
                kept.process = None

    def dismiss(self, kept: Kept) -> None:
        """Stops one for good: SIGTERM, some patience, SIGKILL."""
        with self._lock:
            kept.away_until = math.inf
            if kept.process is not None:
                kept.process.stop()
                kept.process = None

    def pids_of(self, kept: Kept) -> list[int]:
        """The process and its children; empty while it is away."""
        with self._lock:
            return kept.process.pids if kept.process is not None and kept.process.is_running else []

    def api_pids(self) -> list[int]:
        """The API processes: gunicorn's children."""
        return self.pids_of(self.web)[1:]

    def send(self, pid: int, number: signal.Signals) -> bool:
        """Signals one of our processes; False when it is gone."""
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            psutil.Process(pid).send_signal(number)
            return True
        return False

    def keep_away(self, kept: Kept, seconds: float) -> None:
        """Once it ends, it is not started again before so many seconds from now."""
        with self._lock:
            kept.away_until = time.monotonic() + seconds

    def _keep(self) -> None:
        while not self._ended.wait(_TICK_SECONDS):
            for kept in self.everyone:
                with self._lock:
                    self._look_after(kept)

    def _look_after(self, kept: Kept) -> None:
        if kept.process is not None and not kept.process.is_running:
            kept.deaths += 1
            kept.codes.append(kept.process.code or 0)
            kept.process.stop()  # its children: a dead gunicorn's workers would hold its port
            kept.process = None
            kept.away_until = max(kept.away_until, time.monotonic() + _RESTART_SECONDS)
        if kept.process is None and time.monotonic() >= kept.away_until:
            kept.process = Process(kept.arguments, self._environ, self._folder / f"{kept.name}.log")
