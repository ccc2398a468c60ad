"""Time in a simulation: what waits for a moment, and what needs a core."""

import heapq
from collections.abc import Callable, Iterable
from math import inf
from typing import Any

Call = Callable[..., None]


class Clock:
    """`now`, in seconds, goes from event to event.

    Everything that computes shares `cores`: while more is busy than there are cores, each goes on at the same, smaller
    pace, as under the kernel's scheduler. So work is kept by how much each busy server has computed since the
    start, a second clock that all of them share, and a change of pace costs nothing. `others` is how many programs of
    somebody else's want a core at any moment.
    """

    def __init__(self, cores: float, *, others: float = 0.0) -> None:
        self.now = 0.0
        self._cores, self._others = cores, others
        self._computed = 0.0
        self._serial = 0  # of equal moments the earlier noted comes first
        self._timers: list[tuple[float, int, Call, tuple[Any, ...]]] = []
        self._work: list[tuple[float, int, Call, tuple[Any, ...]]] = []

    def schedule(self, moments: Iterable[float], call: Call) -> None:
        """`call(index)` at each moment; before anything else is noted."""
        self._timers = [(at, index, call, (index,)) for index, at in enumerate(moments)]
        heapq.heapify(self._timers)
        self._serial = len(self._timers)

    def after(self, seconds: float, call: Call, *arguments: Any) -> None:  # noqa: ANN401 - given on to `call`
        """`call(*arguments)` so many seconds from now."""
        self._serial += 1
        heapq.heappush(self._timers, (self.now + seconds, self._serial, call, arguments))

    def compute(self, seconds: float, call: Call, *arguments: Any) -> None:  # noqa: ANN401 - given on to `call`
        """`call(*arguments)` once somebody has had so many seconds of a core."""
        self._serial += 1
        heapq.heappush(self._work, (self._computed + seconds, self._serial, call, arguments))

    def run(self) -> None:
        """Until nothing is left to happen."""
        timers, work, cores, others = self._timers, self._work, self._cores, self._others
        while timers or work:
            pace = min(1.0, cores / (len(work) + others)) if work else 1.0
            due = timers[0][0] if timers else inf
            done = self.now + (work[0][0] - self._computed) / pace if work else inf
            if done <= due:
                self._computed, _, call, arguments = heapq.heappop(work)
                self.now = max(self.now, done)
            else:
                _, _, call, arguments = heapq.heappop(timers)
                self._computed += (due - self.now) * pace
                self.now = due
            call(*arguments)
