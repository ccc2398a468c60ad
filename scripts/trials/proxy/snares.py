"""Snares: what to do with the connection on whose way to the server a certain text is seen."""

from dataclasses import dataclass, field
from typing import Literal

Then = Literal["cut", "hang"]
Drops = Literal["request", "reply"]


@dataclass(slots=True, kw_only=True)
class Snare:
    """Waits for `needle` in what a client sends, `left` times; counts its `hits`, and the clients' ports.

    A dropped request stops before the needle: the server never sees it. A dropped reply was written by the server.
    """

    name: str
    needle: bytes
    drops: Drops
    then: Then = "cut"
    left: int = 1
    hits: int = 0
    ports: list[int] = field(default_factory=list)


@dataclass(slots=True, frozen=True)
class Hit:
    """A snare that closed: `passed` bytes of the chunk lie before its needle."""

    snare: Snare
    passed: int


class Snares:
    """Every snare that was ever set; those with nothing left no longer look."""

    def __init__(self) -> None:
        self._all: dict[str, Snare] = {}
        self.armed: list[Snare] = []
        self._reach = 0  # bytes of a needle that may lie before a border

    def add(self, snare: Snare) -> None:
        """Sets one. Its name replaces an older one of the same name."""
        self._all[snare.name] = snare
        self._look()

    def disarm(self) -> None:
        """Nothing is looked for any more; hits stay counted."""
        for snare in self.armed:
            snare.left = 0
        self._look()

    def forget(self, name: str) -> None:
        """This one no longer looks; its hits stay counted."""
        self._all[name].left = 0
        self._look()

    def caught(self) -> dict[str, list[int]]:
        """Name → the ports of the clients that it closed on."""
        return {name: snare.ports for name, snare in self._all.items()}

    def hits(self) -> dict[str, int]:
        """Name → how often."""
        return {name: snare.hits for name, snare in self._all.items()}

    def find(self, tail: bytes, data: bytes, port: int) -> Hit | None:
        """The first snare whose needle ends in `data` of the client at `port`, where `tail` came just before it."""
        text = tail + data
        for snare in self.armed:
            at = text.find(snare.needle)
            if at >= 0:
                snare.hits += 1
                snare.left -= 1
                snare.ports.append(port)
                self._look()
                return Hit(snare, max(at - len(tail), 0))
        return None

    def tail(self, tail: bytes, data: bytes) -> bytes:
        """What must be kept for a needle that lies across the next border."""
        return (tail + data)[-self._reach :] if self._reach else b""

    def _look(self) -> None:
        self.armed = [snare for snare in self._all.values() if snare.left > 0]
        self._reach = max((len(snare.needle) - 1 for snare in self.armed), default=0)
