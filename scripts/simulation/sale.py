"""A simulated sale: every person on the way of a real request, from pressing the button to the end."""

import random
from collections import deque
from dataclasses import dataclass
from functools import partial
from math import isnan
from typing import Final

from api.schemas.requests import RETRY_AFTER_MAX
from scripts.simulation.arrivals import press_times
from scripts.simulation.clock import Clock
from scripts.simulation.costs import Costs
from scripts.simulation.people import CONFIRMED, DOOR, LINE_FULL, NOT_ENOUGH_LEFT, SOLD_OUT, People, Usage
from scripts.simulation.scenario import OTHERS_SECONDS, Scenario
from scripts.simulation.servers import Processes, RedisServer, Worker
from shared.services.event_snapshots import REFRESH_SECONDS

# An API process reads again what is sold out REFRESH_SECONDS after it last did, in so many messages to PostgreSQL, one
# of which reads. Before each it stands in the process' queue like a request, so that the door of an overloaded API is
# late.
REFRESH_MESSAGES, REFRESH_READS_AT, REFRESH_MICROS = 5, 3, 150.0
# How much of its work on a request an API process does before it asks Redis: reading, checking, and the script's call.
BEFORE_REDIS: Final = 0.6
RETRY_SECONDS: Final = (1.0, 3.0)  # until somebody who was refused asks again
LOOK_SECONDS: Final = 10.0  # how long before pressing, at most, somebody loads the page


@dataclass(frozen=True, slots=True)
class Sale:
    """What a simulation found: people, and how the servers were used."""

    people: People
    seats_left: int
    requests: int
    open_max: int
    usage: dict[str, Usage]
    workers: list[Usage]


def simulate(scenario: Scenario, costs: Costs) -> Sale:
    """The sale, the same for the same scenario and costs. Some 20 µs a person of this process' time."""
    pressed = press_times(scenario.profile, scenario.people, seconds=scenario.seconds, seed=scenario.seed)
    return _Simulation(scenario, costs, pressed).run()


class _Simulation:
    def __init__(self, scenario: Scenario, costs: Costs, pressed: list[float]) -> None:
        self._scenario, self._costs = scenario, costs
        self._accept_seconds, self._refuse_seconds = costs.accept.api_us / 1e6, costs.refuse.api_us / 1e6
        self._clock = Clock(scenario.cores)
        self._chance = random.Random(f"{scenario.seed} chance")  # noqa: S311 - a simulation, no secret
        self._people = People(pressed)
        self._events, self._tickets = scenario.events_of_people(), scenario.tickets_of_people()
        self._left = scenario.seats_by_event
        self._undecided = [0] * scenario.events
        self._gone: set[int] = set()  # events that are sold out
        self._known_gone: list[frozenset[int]] = [frozenset()] * scenario.api  # to each API process
        self._undone = scenario.people
        self._retries = [scenario.retries] * scenario.people
        self._decided_in = [0] * scenario.partitions
        self._accepted_in = [0] * scenario.partitions
        self._busy_since = 0.0
        self._requests = 0
        self._open = self._open_max = 0  # let in and not answered
        self._outside: deque[int] = deque()
        self._lines: list[deque[int]] = [deque() for _ in range(scenario.partitions)]
        self._redis = RedisServer(self._clock, costs)
        self._api = Processes(self._clock, scenario.api)
        self._client = Processes(self._clock, 1)
        self._workers = [self._make_worker(index) for index in range(scenario.workers)]

    def _make_worker(self, index: int) -> Worker:
        """Partitions are spread evenly, as workers give away what exceeds their share."""
        own = range(index, self._scenario.partitions, self._scenario.workers)
        return Worker(
            self._clock,
            self._redis,
            self._costs,
            lines={partition: self._lines[partition] for partition in own},
            batch_max=self._scenario.batch_max,
            decide=self._decide,
            told=self._told,
        )

    def run(self) -> Sale:
        self._clock.schedule(self._people.pressed, self._press)
        for pressed in self._people.pressed:
            for _ in range(self._scenario.looks):
                before = self._chance.random() * LOOK_SECONDS
                self._clock.after(max(pressed - before, 0.0), self._look)
        for step, others in enumerate(self._scenario.others):
            self._clock.after(step * OTHERS_SECONDS, self._share_with, others)
        if self._scenario.sold_out_door:
            for process in range(self._scenario.api):
                begin = self._chance.random() * REFRESH_SECONDS
                self._clock.after(begin, self._refresh, process, 0, frozenset())
        self._clock.run()
        usage = {
            "API": self._api.usage,
            "PostgreSQL": _sum([worker.postgres for worker in self._workers]),
            "Redis": self._redis.usage,
            "client": self._client.usage,
        }
        return Sale(
            people=self._people,
            seats_left=sum(self._left),
            requests=self._requests,
            open_max=self._open_max,
            usage=usage,
            workers=[worker.usage for worker in self._workers],
        )

    def _share_with(self, others: float) -> None:
        self._clock.others = others

    # -- people ------------------------------------------------------------------------------------------------

    def _press(self, person: int) -> None:
        self._requests += 1
        if self._scenario.client:
            self._client.submit(lambda _: self._costs.accept.client_us / 1e6, self._sent, person)
        else:
            self._sent(0, person)

    def _sent(self, _process: int, person: int) -> None:
        self._outside.append(person)
        self._let_in()

    def _let_in(self) -> None:
        self._open_max = max(self._open_max, self._open + len(self._outside))
        while self._outside and self._open < self._scenario.connections:
            self._open += 1
            person = self._outside.popleft()
            self._api.submit(partial(self._door_seconds, person), self._asked, person)

    def _look(self) -> None:
        self._requests += 1
        self._api.submit(lambda _: self._costs.look.api_us / 1e6, _nothing)

    def _poll(self, person: int) -> None:
        self._requests += 1
        self._api.submit(lambda _: self._costs.poll.api_us / 1e6, self._polled, person)

    # -- the API and the accept script ----------------------------------------------------------------------------

    def _is_closed(self, process: int, event: int) -> bool:
        """Whether this process' snapshot says that the event is sold out."""
        return event in self._known_gone[process]

    def _refresh(self, process: int, message: int, gone: frozenset[int]) -> None:
        self._api.submit(lambda _: REFRESH_MICROS / 1e6, self._refreshed, process, message, gone)

    def _refreshed(self, _process: int, process: int, message: int, gone: frozenset[int]) -> None:
        if message == REFRESH_READS_AT:
            gone = frozenset(self._gone)
        if message + 1 < REFRESH_MESSAGES:
            self._clock.after(self._costs.round_trip_us / 1e6, self._refresh, process, message + 1, gone)
            return
        self._known_gone[process] = gone
        if self._undone:
            self._clock.after(REFRESH_SECONDS, self._refresh, process, 0, gone)

    def _door_seconds(self, person: int, process: int) -> float:
        return BEFORE_REDIS * self._answer_seconds(self._is_closed(process, self._events[person]))

    def _answer_seconds(self, refused: bool) -> float:  # noqa: FBT001 - which of two costs
        return self._refuse_seconds if refused else self._accept_seconds

    def _asked(self, process: int, person: int) -> None:
        event = self._events[person]
        if self._is_closed(process, event):
            self._redis.submit(self._costs.refuse.redis_us / 1e6, False, self._answer, person, DOOR)
        elif self._undecided[event] >= self._scenario.event_undecided_max:
            self._redis.submit(self._costs.refuse.redis_us / 1e6, False, self._answer, person, LINE_FULL)
        else:
            self._redis.submit(self._costs.accept.redis_us / 1e6, True, self._accepted, person)

    def _answer(self, person: int, end: str) -> None:
        """The second part of the API's work; `end` is empty for a 202."""
        seconds = (1 - BEFORE_REDIS) * self._answer_seconds(bool(end))
        self._api.submit(lambda _: seconds, self._answered, person, end)

    def _answered(self, _process: int, person: int, end: str) -> None:
        self._open -= 1
        self._people.answered[person] = self._clock.now
        if end and self._retries[person]:
            self._retries[person] -= 1
            self._clock.after(self._chance.uniform(*RETRY_SECONDS), self._press, person)
        elif end:
            self._people.ends[person] = end
            self._undone -= 1
        elif self._scenario.polls:
            partition = self._events[person] % self._scenario.partitions
            self._clock.after(self._retry_after(partition), self._poll, person)
        self._let_in()

    def _accepted(self, person: int) -> None:
        self._people.accepted[person] = self._clock.now
        event = self._events[person]
        partition = event % self._scenario.partitions
        self._undecided[event] += 1
        self._accepted_in[partition] += 1
        self._lines[partition].append(person)
        self._workers[partition % self._scenario.workers].ring()
        self._answer(person, "")

    def _retry_after(self, partition: int) -> float:
        """The estimate that a client is told: who is ahead, over the decisions a second so far."""
        decided = self._decided_in[partition]
        ahead = self._accepted_in[partition] - decided
        rate = decided / max(self._clock.now - self._busy_since, 1e-3)
        return min(max(ahead / rate if rate else 0.0, 1.0), RETRY_AFTER_MAX)

    def _polled(self, _process: int, person: int) -> None:
        self._redis.submit(self._costs.poll.redis_us / 1e6, False, self._told_where, person)

    def _told_where(self, person: int) -> None:
        if isnan(self._people.decided[person]):
            partition = self._events[person] % self._scenario.partitions
            self._clock.after(self._retry_after(partition), self._poll, person)

    # -- the worker -----------------------------------------------------------------------------------------------

    def _decide(self, persons: list[int]) -> int:
        """All or nothing, in order; how many were confirmed."""
        confirmed = 0
        for person in persons:
            event, tickets = self._events[person], self._tickets[person]
            left = self._left[event]
            if tickets <= left:
                self._left[event] = left - tickets
                self._people.ends[person] = CONFIRMED
                confirmed += 1
            else:
                self._people.ends[person] = NOT_ENOUGH_LEFT if left else SOLD_OUT
        return confirmed

    def _told(self, partition: int, persons: list[int]) -> None:
        now = self._clock.now
        for person in persons:
            self._people.decided[person] = now
            event = self._events[person]
            self._undecided[event] -= 1
            if not self._left[event]:
                self._gone.add(event)
        self._undone -= len(persons)
        self._decided_in[partition] += len(persons)


def _nothing(_process: int) -> None:
    """A page was loaded."""


def _sum(usages: list[Usage]) -> Usage:
    total = Usage()
    for usage in usages:
        total.cpu += usage.cpu
        for second, occupied in usage.occupied.items():
            total.occupied[second] = total.occupied.get(second, 0.0) + occupied
    return total
