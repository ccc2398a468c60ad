"""The events on sale in a trial: a file that people read again and again, changed by whoever calls one off."""

import random
import threading
from pathlib import Path

import orjson


class Programme:
    """Ids of the events on sale. Methods may be called from any thread."""

    def __init__(self, path: Path, events: list[int]) -> None:
        self.path = path
        self._events = list(events)
        self._lock = threading.Lock()
        self._write()

    def choose(self, chance: random.Random) -> int:
        """Any event on sale."""
        with self._lock:
            return chance.choice(self._events)

    def replace(self, old: int, new: int) -> None:
        """Another event instead of one that is over."""
        with self._lock:
            self._events[self._events.index(old)] = new
            self._write()

    def _write(self) -> None:
        fresh = self.path.with_suffix(".new")
        fresh.write_bytes(orjson.dumps(self._events))
        fresh.replace(self.path)  # a reader sees the old file or the new one, never half of one
