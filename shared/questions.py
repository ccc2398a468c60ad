"""Asking a server that may have fallen silent: nobody waits longer for the answer than it is worth."""

import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

# A scraper or a probe waits some seconds; a silent server must not keep it from hearing about the others.
WAIT_SECONDS: Final = 2.0


class _Asked(Generic[T]):
    """One question under way: who asks meanwhile gets the same answer."""

    def __init__(self, ask: Callable[[], T], name: str) -> None:
        self._ask = ask
        self._answers: list[T] = []
        self._deadline = time.monotonic() + WAIT_SECONDS
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Answered, or failed."""
        return not self._thread.is_alive()

    def wait(self) -> T | None:
        """The answer, None when none came in time or the question failed."""
        self._thread.join(max(self._deadline - time.monotonic(), 0.0))
        return self._answers[0] if self._answers else None

    def _run(self) -> None:
        try:
            self._answers.append(self._ask())
        except Exception:  # noqa: BLE001 - whatever it is, the answer is that there is none
            return


class Question(Generic[T]):
    """Asks in a thread (a greenlet under gevent) and waits at most WAIT_SECONDS from when the question was put.

    One at a time: whoever asks while it is unanswered waits for the same answer, so a silent server holds one
    thread and one connection, however many ask.
    """

    def __init__(self, name: str, ask: Callable[[], T]) -> None:
        self._name, self._ask = name, ask
        self._lock = threading.Lock()
        self._asked: _Asked[T] | None = None

    def begin(self) -> Callable[[], T | None]:
        """Asks, or joins who has asked, and returns what waits for the answer: None when there is none in time."""
        with self._lock:
            if self._asked is None or self._asked.is_over:
                self._asked = _Asked(self._ask, self._name)
            return self._asked.wait

    def get(self) -> T | None:
        """Asks and waits."""
        return self.begin()()
