"""How long a connection may say nothing: one timer for all of them (docs/adr/0050-plain-heads.md).

gunicorn's worker makes, starts and ends a timer for each request, which in nearly every case never goes off.
"""

from itertools import takewhile
from time import monotonic
from typing import Final

from gevent import get_hub, getcurrent
from greenlet import greenlet

_LOOK_SECONDS: Final = 1.0


class Patience:
    """A context in which any number of greenlets may wait, each for so many `seconds` and until the next look, once a
    second. Who waits longer leaves it at once, without an error; others' errors pass.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        # Since when each of them waits; whoever has waited longest is first.
        self._waiting: dict[greenlet, float] = {}
        self._timer: object = None

    def start(self) -> None:
        """Looks once a second, for as long as the process has its loop."""
        self._timer = timer = get_hub().loop.timer(_LOOK_SECONDS, _LOOK_SECONDS, ref=False)
        timer.start(lambda: self.look(monotonic()))

    def look(self, now: float) -> None:
        """Ends the waiting of those who wait too long. To be called in gevent's hub, which alone may throw something
        into a greenlet that waits. Costs nothing for those who do not.
        """
        due = now - self._seconds
        for waiter, _ in list(takewhile(lambda one: one[1] <= due, self._waiting.items())):
            waiter.throw(_TooLong)  # it runs until it waits for something else, or ends; then this goes on

    def __enter__(self) -> None:
        self._waiting[getcurrent()] = monotonic()

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> bool:
        del self._waiting[getcurrent()]
        return kind is _TooLong


class _TooLong(BaseException):
    """Nobody's error, and so for nobody to catch on its way."""
