"""What an organiser asks: how many seats, people, processes, and how people behave."""

import itertools
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from scripts.simulation.arrivals import Profile
from shared.settings import Settings

OTHERS_SECONDS: Final = 2.0
TICKETS_MAX: Final = 10  # DESIGN: at most 10 a booking
_SET: Final = Settings()  # what an installation has that sets nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`seats` of all `events` together, evenly. `tickets`: how many a person wants → how often.

    `hot`: the share of people who want the first event; everybody else chooses any. `retries`: how often somebody
    whom the door refused asks again; `looks`: how often a person loads the event's page before pressing. `polls`: who
    stands in line asks for the outcome when `Retry-After` says so. `connections`: how many requests the API takes at
    once, in all; the others wait to be let in. `client`: the load comes from the same machine; `others`: how many
    programs of somebody else's want its cores too, by steps of `OTHERS_SECONDS`.
    """

    seats: int
    people: int
    seconds: float
    workers: int = 1
    api: int = 2
    cores: float
    profile: Profile = "poisson"
    tickets: tuple[tuple[int, float], ...] = ((1, 1.0),)
    events: int = 1
    hot: float = 0.0
    sold_out_door: bool = True
    batch_max: int = _SET.batch_max
    partitions: int = _SET.partitions
    event_undecided_max: int = _SET.event_undecided_max
    retries: int = 0
    looks: int = 0
    polls: bool = True
    connections: int = 8_000
    client: bool = False
    others: tuple[float, ...] = ()
    seed: int = 1

    @property
    def seats_by_event(self) -> list[int]:
        """Seats of each event; what does not divide evenly goes to the first."""
        each, rest = divmod(self.seats, self.events)
        return [each + (index < rest) for index in range(self.events)]

    def events_of_people(self) -> list[int]:
        """Which event each person wants, by its index."""
        if self.events == 1:
            return [0] * self.people
        chance = random.Random(f"{self.seed} events")  # noqa: S311 - a simulation, no secret
        return [
            0 if chance.random() < self.hot else chance.randrange(self.events) for _ in range(self.people)
        ]

    def tickets_of_people(self) -> list[int]:
        """How many tickets each person wants."""
        if len(self.tickets) == 1:
            return [self.tickets[0][0]] * self.people
        chance = random.Random(f"{self.seed} tickets")  # noqa: S311 - a simulation, no secret
        counts = [count for count, _ in self.tickets]
        ends = list(itertools.accumulate(weight for _, weight in self.tickets))
        return chance.choices(counts, cum_weights=ends, k=self.people)


def parse_tickets(text: str) -> tuple[tuple[int, float], ...]:
    """`2`, `1-4` (each as often) or `1:60,2:30,4:10` (so often each); raises ValueError on anything else."""
    if match := re.fullmatch(r"(\d+)(?:-(\d+))?", text):
        first, last = int(match[1]), int(match[2] or match[1])
        return _checked([(count, 1.0) for count in range(first, last + 1)], text)
    pairs = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*:\s*(\d+(?:\.\d+)?)\s*", part)
        if match is None:
            raise ValueError(f"{text!r} is not N, N-M or N:WEIGHT,N:WEIGHT")
        pairs.append((int(match[1]), float(match[2])))
    return _checked(pairs, text)


def _checked(pairs: Sequence[tuple[int, float]], text: str) -> tuple[tuple[int, float], ...]:
    if not pairs or any(not 1 <= count <= TICKETS_MAX for count, _ in pairs):
        raise ValueError(f"{text!r}: a booking is of 1 to {TICKETS_MAX} tickets")
    if len({count for count, _ in pairs}) < len(pairs) or sum(weight for _, weight in pairs) <= 0:
        raise ValueError(f"{text!r}: each number of tickets once, and one of them with a weight")
    return tuple(pairs)
