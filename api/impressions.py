"""Counting looks at events: in this process's memory, written once a second beside the requests."""

import logging
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Final

from shared.db import Engine, transaction
from shared.store.impressions import add_impressions

log = logging.getLogger(__name__)

FLUSH_SECONDS: Final = 1.0


class ImpressionCounter:
    """Counts looks; a thread of its own (a greenlet under gevent) adds them to the events.

    The thread starts with the first look, hence after the fork. What cannot be written (PostgreSQL is away, a
    worker has the row) stays in memory; memory is bounded by the number of events. A killed process loses the
    last second.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._counts: Counter[int] = Counter()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._failing = False

    def count(self, event_id: int) -> None:
        """One look at an event that exists. No I/O."""
        with self._lock:
            self._counts[event_id] += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="impressions", daemon=True)
                self._thread.start()

    def flush(self) -> None:
        """Writes what was counted; what fails is kept for the next time."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            with transaction(self._engine) as session:
                written = add_impressions(session, counts)
        except Exception as error:  # noqa: BLE001 - nothing in here may end the thread
            self._keep(counts)
            if not self._failing:
                log.warning("impressions wait for the database", extra={"reason": str(error)})
            self._failing = True
            return
        self._failing = False
        self._keep({event_id: count for event_id, count in counts.items() if event_id not in written})

    def close(self) -> None:
        """Ends the thread after a last flush."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        self.flush()

    def _keep(self, counts: Mapping[int, int]) -> None:
        with self._lock:
            self._counts.update(counts)

    def _run(self) -> None:
        while not self._stopping.wait(FLUSH_SECONDS):
            self.flush()
