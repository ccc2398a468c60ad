"""Waiting for decisions: one subscription a process, any number of requests that wait on it.

"Decided" messages are lossy. A waiter subscribes first, then reads the status, then waits, and reads again
every few seconds: a lost message costs seconds, never an answer.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from redis import Redis
from redis.exceptions import RedisError

from shared.line.keys import DECIDED_CHANNEL

log = logging.getLogger(__name__)

T = TypeVar("T")

REREAD_SECONDS: Final = 5.0
RECONNECT_SECONDS: Final = 1.0


class DecisionHub:
    """Wakes who waits for a job when a worker says that it is decided."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._waiters: dict[str, set[threading.Event]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def waiter(self, job_id: uuid.UUID) -> Iterator[threading.Event]:
        """An event that is set whenever the job may have been decided, for the length of the block."""
        event = threading.Event()
        with self._lock:
            self._waiters.setdefault(str(job_id), set()).add(event)
            self._start()
        try:
            yield event
        finally:
            with self._lock:
                waiting = self._waiters[str(job_id)]
                waiting.discard(event)
                if not waiting:
                    del self._waiters[str(job_id)]

    def start(self) -> None:
        """Subscribes now instead of with the first waiter."""
        with self._lock:
            self._start()

    def _start(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._listen_forever, name="decision-hub", daemon=True)
            self._thread.start()

    def wait(
        self, job_id: uuid.UUID, seconds: float, read: Callable[[], T], is_decided: Callable[[T], bool]
    ) -> T:
        """What `read` gives once `is_decided` says so, or after `seconds`; reads at least once."""
        deadline = time.monotonic() + seconds
        with self.waiter(job_id) as event:
            while True:
                value = read()
                remaining = deadline - time.monotonic()
                if is_decided(value) or remaining <= 0:
                    return value
                event.wait(min(remaining, REREAD_SECONDS))
                event.clear()

    def close(self) -> None:
        """Stops listening."""
        self._closed = True

    def _listen_forever(self) -> None:
        while not self._closed:
            try:
                self._listen()
            except (RedisError, OSError) as error:
                log.warning("decision hub: subscribing again", extra={"error": type(error).__name__})
                self._wake_all()
                time.sleep(RECONNECT_SECONDS)

    def _listen(self) -> None:
        with self._redis.pubsub() as pubsub:
            pubsub.subscribe(DECIDED_CHANNEL)
            while not self._closed:
                message = pubsub.get_message(timeout=1.0)
                if message is None:
                    continue
                if message["type"] == "message":
                    self._wake(message["data"].decode().split(","))
                else:
                    self._wake_all()  # subscribed now: who read before that reads again

    def _wake(self, job_ids: list[str]) -> None:
        with self._lock:
            for job_id in job_ids:
                for event in self._waiters.get(job_id, ()):
                    event.set()

    def _wake_all(self) -> None:
        with self._lock:
            for waiting in self._waiters.values():
                for event in waiting:
                    event.set()
