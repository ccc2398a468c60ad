"""`/readyz` for everybody who asks: one look at the servers for all of them."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

# A look is a handful of round trips, and strangers may ask without a limit. A probe asks every second at the most.
SHARED_SECONDS: Final = 0.5

Verdict = tuple[Mapping[str, str], Mapping[str, str]]  # problems, warnings


class Readiness:
    """The last verdict of one process. `look` is asked at most every half second, and never twice at once."""

    def __init__(self, look: Callable[[], Verdict]) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._verdict: Verdict = {}, {}
        self._began = self._ended = float("-inf")

    def check(self) -> Verdict:
        """(problems, warnings) of a look that began less than half a second before the call, or that had not
        ended then: whoever comes while somebody looks waits for what they see.
        """
        asked_at = time.monotonic()
        with self._lock:
            if self._ended < asked_at and asked_at - self._began >= SHARED_SECONDS:
                began = time.monotonic()
                self._verdict = self._look()
                self._began, self._ended = began, time.monotonic()
            return self._verdict
