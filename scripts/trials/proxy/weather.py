"""What is wrong with the network for now, for every connection alike."""

import random
import time
from typing import Final

from scripts.trials.proxy.snares import Snares

_PIECE_SECONDS: Final = 0.002
# Of what waits, each time: 100 KB take about 1.5 s, a reply of 50 bytes 0.1 s.
_PIECES: Final = 96


class Weather:
    """Delays, trickling and snares."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.snares = Snares()
        self.delay_seconds = 0.0
        self.delay_share = 0.0
        self.trickles = False

    @property
    def is_rough(self) -> bool:
        """Whether every chunk must be looked at."""
        return bool(self.delay_share or self.trickles or self.snares.armed)

    def due(self, now: float) -> float:
        """When a chunk that came now may go on."""
        late = self.delay_share and self._chance.random() < self.delay_share
        return now + self.delay_seconds if late else now

    def piece(self, waiting: int) -> int | None:
        """How many bytes may go at a time; None: all."""
        return max(1, waiting // _PIECES) if self.trickles else None

    def next_piece_at(self) -> float:
        """When the next piece may go."""
        return time.monotonic() + _PIECE_SECONDS if self.trickles else 0.0

    def clear(self) -> None:
        """Everything is well again."""
        self.snares.disarm()
        self.delay_seconds = self.delay_share = 0.0
        self.trickles = False
