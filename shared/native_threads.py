"""Threads that the system schedules, also in a process whose `threading` makes greenlets of them.

A greenlet runs when nobody else does: in a process at the limit of its CPU that is seconds late. gevent's locks are for
greenlets of one thread, so what such a thread shares with them it shares by single operations on dictionaries and
attributes, and by `Wake`.
"""

import _thread
import sys
from collections.abc import Callable
from typing import Any


def start_native_thread(target: Callable[[], None]) -> None:
    """Runs `target` in a thread of its own, which does not keep the process from ending."""
    _original("start_new_thread")(target, ())


class Wake:
    """What such a thread sleeps on: `set` ends one `wait`, the one that is under way or else the next."""

    def __init__(self) -> None:
        self._lock = _original("allocate_lock")()
        self._lock.acquire()

    def set(self) -> None:
        """Wakes the thread. From anywhere; never waits."""
        try:
            self._lock.release()
        except RuntimeError:
            return  # woken already

    def wait(self, seconds: float) -> None:
        """Returns after `seconds`, or once woken. In the thread alone: a greenlet would stop all others."""
        self._lock.acquire(timeout=seconds)


def _original(name: str) -> Any:  # noqa: ANN401 - functions of `_thread`
    """As Python has it, whether gevent has put its own in its place or not."""
    monkey = sys.modules.get("gevent.monkey")
    return getattr(_thread, name) if monkey is None else monkey.get_original("_thread", name)
