"""The proxy's loop: one selector for every socket, a heap for what waits for its time.

Written on `selectors` because asyncio's transports cost three times as much for each message that only passes.
"""

import errno
import heapq
import itertools
import random
import selectors
import socket
import time
from collections.abc import Callable
from typing import Final

from scripts.trials.proxy.door import Door
from scripts.trials.proxy.ends import End
from scripts.trials.proxy.pairs import Pair
from scripts.trials.proxy.weather import Weather

_CONNECT_AGAIN_SECONDS: Final = 0.02


class Relay:
    """Connections from a TCP port to a unix socket."""

    def __init__(self, socket_path: str, port: int, chance: random.Random) -> None:
        self._path = socket_path
        self._chance = chance
        self.selector = selectors.DefaultSelector()
        self.weather = Weather(chance)
        self.pairs: set[Pair] = set()
        self.door = Door(self.selector, port, self._accept)
        self.port = self.door.port
        self.chunks = 0
        self.opened = 0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._stopping = False

    def run(self) -> None:
        """Relays until `stop`."""
        while not self._stopping:
            for key, mask in self.selector.select(self._patience()):
                if key.data.__class__ is tuple:
                    pair, end = key.data
                    if not pair.closed:
                        pair.ready(end, mask)
                else:
                    key.data()
            if self._timers:
                self._call_due()

    def stop(self) -> None:
        """Ends the loop after this turn."""
        self._stopping = True

    def call_at(self, instant: float, pair: Pair, end: End) -> None:
        """Rings that end's alarm then."""
        self._at(instant, lambda: pair.alarm(end))

    def settle(self) -> None:
        """Every connection learns what has changed."""
        for pair in list(self.pairs):
            pair.settle()

    def choose(self, share: float) -> list[Pair]:
        """A share of the connections, at least one where there is any."""
        pairs = sorted(self.pairs, key=id)
        count = max(1, round(share * len(pairs)))
        return self._chance.sample(pairs, min(count, len(pairs)))

    def heal(self) -> None:
        """Opens the door, passes on what waited, ends what hangs."""
        self.weather.clear()
        self.door.open()
        for pair in list(self.pairs):
            pair.heal()

    def _accept(self, client: socket.socket) -> None:
        self.opened += 1
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = socket.socket(socket.AF_UNIX)
        server.setblocking(False)
        self._connect(client, server)

    def _connect(self, client: socket.socket, server: socket.socket) -> None:
        outcome = server.connect_ex(self._path)
        if outcome == errno.EAGAIN:  # a stopped server whose queue of connections is full
            self._at(time.monotonic() + _CONNECT_AGAIN_SECONDS, lambda: self._connect(client, server))
        elif outcome:
            server.close()
            End(client, is_client=True).close(reset=True)
        else:
            pair = Pair(self, End(client, is_client=True), End(server, is_client=False))
            self.pairs.add(pair)
            pair.settle()

    def _at(self, instant: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (instant, next(self._numbers), call))

    def _patience(self) -> float | None:
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _call_due(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()
