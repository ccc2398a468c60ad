"""Time in a simulation: what waits for a moment, and what needs a core."""

import heapq
from collections.abc import Callable, Iterable
from math import inf
from typing import Any

Call = Callable[..., None]
_Entry = tuple[float, int, Call, tuple[Any, ...]]


class Clock:
    """`now`, in seconds, goes from event to event.

    Everything that computes shares `cores` as the kernel has it where each service is a group of its own (a unit of
    systemd, a container, a session): first between the groups that want to run, then within each. The one group of
    several is the crowd: the API's processes. `others` is how many groups of somebody else's want to run; it may be set
    at any time.

    Work is kept by how much everybody of the same pace has computed since the start, a second clock that they share, so
    that a change of pace costs nothing.
    """

    def __init__(self, cores: float) -> None:
        self.now = self.others = 0.0
        self._cores = cores
        self._serial = 0  # of equal moments the earlier noted comes first
        self._timers: list[_Entry] = []
        self._single: list[_Entry] = []
        self._crowd: list[_Entry] = []
        self._single_computed = self._crowd_computed = 0.0

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
        """`call(*arguments)` once a group of one has had so many seconds of a core."""
        self._serial += 1
        heapq.heappush(self._single, (self._single_computed + seconds, self._serial, call, arguments))

    def compute_in_crowd(self, seconds: float, call: Call, *arguments: Any) -> None:  # noqa: ANN401 - given on to `call`
        """The same for one of the crowd."""
        self._serial += 1
        heapq.heappush(self._crowd, (self._crowd_computed + seconds, self._serial, call, arguments))

    def run(self) -> None:
        """Until nothing is left to happen."""
        timers, single, crowd = self._timers, self._single, self._crowd
        while timers or single or crowd:
            pace, crowd_pace = self._paces(len(single), len(crowd))
            due = timers[0][0] if timers else inf
            ends = self.now + (single[0][0] - self._single_computed) / pace if single else inf
            crowd_ends = self.now + (crowd[0][0] - self._crowd_computed) / crowd_pace if crowd else inf
            if ends <= due and ends <= crowd_ends:
                heap, at = single, ends
            elif crowd_ends <= due:
                heap, at = crowd, crowd_ends
            else:
                heap, at = timers, due
            passed = max(at - self.now, 0.0)
            self.now += passed
            self._single_computed += passed * pace
            self._crowd_computed += passed * crowd_pace
            _, _, call, arguments = heapq.heappop(heap)
            call(*arguments)

    def _paces(self, single: int, crowd: int) -> tuple[float, float]:
        """How much of a core each gets, of those alone and of the crowd."""
        cores, alone = self._cores, single + self.others
        if alone + crowd <= cores:
            return 1.0, 1.0
        groups = alone + (1 if crowd else 0)
        if groups >= cores:
            share = cores / groups
            return share, min(share / max(crowd, 1), 1.0)
        return 1.0, (cores - alone) / crowd
