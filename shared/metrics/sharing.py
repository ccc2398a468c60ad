"""How processes see each other's figures: each leaves a small JSON file in a folder, written anew once a second.

`<host>-<pid>-<random>.json` is one process' counts; a name is never used twice. A file that nobody wrote for a
minute belongs to a process that ended: whoever notices adds it to `ended.json` and removes it, so totals never go
back and the folder stays as small as the number of processes. A killed process loses its last second.
"""

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from shared.metrics import files
from shared.metrics.files import SHARED_FAMILIES, Totals
from shared.metrics.minutes import MinuteRoll

log = logging.getLogger(__name__)

WRITE_SECONDS: Final = 1.0
TOUCH_SECONDS: Final = 10.0  # a file is written this often even when nothing was counted
FOLD_SECONDS: Final = 15.0  # how often each process looks for files that others left behind


def own_totals() -> Totals:
    """What this process has counted, copied."""
    return {
        family.name: {labels: list(series) for labels, series in list(family.series.items())}
        for family in SHARED_FAMILIES
    }


class SharedFigures:
    """This process' figures among the others'. Until `start` they stay in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Path | None = None
        self._minutes = MinuteRoll()
        self._written: Totals = {}
        self._ended_before: Totals = {}  # ours, but counted in `ended.json` already
        self._written_at = self._folded_at = float("-inf")
        self._failing = False
        self._lock = threading.Lock()  # a scrape writes too
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Writes from now on, in a thread of its own (a greenlet under gevent); after the fork."""
        name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}.json"
        self._path = self._folder / name
        self._thread = threading.Thread(target=self._run, name="figures", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """At a clean end: this process' counts go to those of the processes that ended."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        if self._path is not None:
            self.write()
            path, self._path = self._path, None
            with self._reported():
                files.fold(self._folder, [path])

    def read(self) -> Totals:
        """The sum over all processes, this one as it is now; only this one's when the folder is unreadable."""
        self.write()
        # Exactly what the file says: what this process tells now, the others tell from now on, or totals would seem
        # to go back when another one is asked next.
        shared = self._path is not None and not self._failing
        totals = {name: dict(many) for name, many in self._written.items()} if shared else self._own()
        with self._reported():
            files.add_all(totals, files.read_others(self._folder, self._path))
        return totals

    def write(self) -> None:
        """Writes this process' counts when they changed, and looks for files that others left behind.

        Never raises: a folder that cannot be written costs the others' view of this process, nothing else.
        """
        self._minutes.roll(time.time())
        if self._path is None:
            return
        with self._lock, self._reported():
            self._write(self._path, time.monotonic())

    def _write(self, path: Path, now: float) -> None:
        if self._written and not path.exists():
            # Somebody took this process for ended (it was stopped, or its machine slept): what the file said is
            # counted there now, and only what comes after is still ours to tell.
            files.add_all(self._ended_before, [self._written])
            self._written = {}
        totals = self._own()
        if totals != self._written or now - self._written_at >= TOUCH_SECONDS:
            files.write_totals(path, totals)
            self._written, self._written_at = totals, now
        if now - self._folded_at >= FOLD_SECONDS:
            self._folded_at = now
            files.fold(self._folder, files.find_ended(self._folder))

    def _own(self) -> Totals:
        totals = own_totals()
        for name, many in self._ended_before.items():
            for labels, before in many.items():
                if labels in totals[name]:
                    now = totals[name][labels]
                    totals[name][labels] = [a - b for a, b in zip(now, before, strict=True)]
        return totals

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Says once that the folder cannot be used, and goes on without it."""
        try:
            yield
        except OSError as error:
            if not self._failing:
                log.warning(
                    "figures cannot be shared", extra={"folder": str(self._folder), "error": str(error)}
                )
            self._failing = True
        else:
            self._failing = False

    def _run(self) -> None:
        while not self._stopping.wait(WRITE_SECONDS):
            try:
                self.write()
            except Exception:
                log.exception("figures cannot be shared")
