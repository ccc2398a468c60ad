"""The size of Redis' append-only file through time, so that its end can be cut off and it is known what that loses."""

import os
import shutil
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_EVERY_SECONDS: Final = 0.02
_REMEMBERED_SECONDS: Final = 120


@dataclass(slots=True, frozen=True)
class Earlier:
    """What was acknowledged before `at` lies in the file's first `size` bytes: Redis writes before it replies."""

    at: float
    size: int


class TailWatch:
    """Samples a file's size in a thread of its own, until the block ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._samples: deque[Earlier] = deque(maxlen=round(_REMEMBERED_SECONDS / _EVERY_SECONDS))
        self._inode = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()

    def before(self, instant: float) -> Earlier | None:
        """The youngest sample from before `instant`; else the oldest there is since the file was written anew."""
        self._look()  # a rewrite may have ended since the last time
        with self._lock:
            older = [sample for sample in self._samples if sample.at <= instant]
            return older[-1] if older else next(iter(self._samples), None)

    def forget(self) -> None:
        """The file is another from now on."""
        with self._lock:
            self._samples.clear()

    def _watch(self) -> None:
        while not self._ended.wait(_EVERY_SECONDS):
            self._look()

    def _look(self) -> None:
        with suppress(FileNotFoundError), self._lock:
            at = time.monotonic()
            found = self._path.stat()
            shrunk = self._samples and found.st_size < self._samples[-1].size
            if found.st_ino != self._inode or shrunk:
                self._samples.clear()  # a rewrite put another file in its place, or a start mended its end
            self._inode = found.st_ino
            self._samples.append(Earlier(at, found.st_size))


def copy_beginning(path: Path, copy: Path) -> float:
    """Copies what the file holds now, while Redis goes on appending; since when the copy misses things."""
    at = time.monotonic()
    with path.open("rb") as source, copy.open("wb") as target:
        size = os.fstat(source.fileno()).st_size
        shutil.copyfileobj(source, target, 1_048_576)
        target.truncate(size)
    return at
