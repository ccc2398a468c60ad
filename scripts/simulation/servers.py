"""The three kinds of servers that a request passes: API processes, Redis, booking workers."""

from collections import deque
from collections.abc import Callable
from typing import Any

from scripts.simulation.clock import Call, Clock
from scripts.simulation.costs import Costs
from scripts.simulation.people import Usage
from worker.booking_worker import PATIENCE_SECONDS, SMALL_BATCH


class Processes:
    """Processes that work off one queue, one thing at a time each: what greenlets wait for costs them nothing."""

    def __init__(self, clock: Clock, count: int) -> None:
        self._clock = clock
        self._compute = clock.compute if count == 1 else clock.compute_in_crowd
        self._idle = list(range(count))
        self._queue: deque[tuple[Callable[[int], float], Call, tuple[Any, ...]]] = deque()
        self.usage = Usage()

    def submit(self, cost: Callable[[int], float], call: Call, *arguments: Any) -> None:  # noqa: ANN401 - given on
        """`call(process, *arguments)` after `cost(process)` seconds of a core, asked when its turn comes."""
        self._queue.append((cost, call, arguments))
        if self._idle:
            self._begin(self._idle.pop())

    def _begin(self, process: int) -> None:
        cost, call, arguments = self._queue.popleft()
        seconds = cost(process)
        self.usage.cpu += seconds
        self._compute(seconds, self._end, process, self._clock.now, call, arguments)

    def _end(self, process: int, began: float, call: Call, arguments: tuple[Any, ...]) -> None:
        self.usage.note(began, self._clock.now)
        call(process, *arguments)
        if self._queue:
            self._begin(process)
        else:
            self._idle.append(process)


class RedisServer:
    """Hears everybody who spoke meanwhile, works all of it off, syncs its file once, then answers all."""

    def __init__(self, clock: Clock, costs: Costs) -> None:
        self._clock, self._wait_seconds = clock, costs.sync_us / 1e6
        self._heard: list[tuple[float, bool, Call, tuple[Any, ...]]] = []
        self._busy = False
        self.usage = Usage()

    def submit(self, seconds: float, writes: bool, call: Call, *arguments: Any) -> None:  # noqa: ANN401, FBT001 - given on
        """`call(*arguments)` when it has answered."""
        self._heard.append((seconds, writes, call, arguments))
        if not self._busy:
            self._busy = True
            self._turn()

    def _turn(self) -> None:
        turn, self._heard = self._heard, []
        seconds = sum(cost for cost, _, _, _ in turn)
        self.usage.cpu += seconds
        self._clock.compute(seconds, self._sync, turn, self._clock.now)

    def _sync(self, turn: list[tuple[float, bool, Call, tuple[Any, ...]]], began: float) -> None:
        wrote = any(writes for _, writes, _, _ in turn)
        if wrote:
            self._clock.after(self._wait_seconds, self._answer, turn, began)
        else:
            self._answer(turn, began)

    def _answer(self, turn: list[tuple[float, bool, Call, tuple[Any, ...]]], began: float) -> None:
        self.usage.note(began, self._clock.now)
        for _, _, call, arguments in turn:
            call(*arguments)
        if self._heard:
            self._turn()
        else:
            self._busy = False


class Worker:
    """Goes round its partitions, a batch of each that has work: take, decide and write, reply.

    `decide(persons)` says how many of a batch were confirmed and may not be called twice; `told(partition, persons)`
    is after the reply.
    """

    def __init__(
        self,
        clock: Clock,
        redis: RedisServer,
        costs: Costs,
        *,
        lines: dict[int, deque[int]],
        batch_max: int,
        decide: Callable[[list[int]], int],
        told: Callable[[int, list[int]], None],
    ) -> None:
        self._clock, self._redis, self._costs = clock, redis, costs
        self._lines, self._batch_max, self._decide, self._told = lines, batch_max, decide, told
        self._ready: deque[int] = deque()
        self._decided = 0
        self._asleep = True
        self.usage, self.postgres = Usage(), Usage()

    def ring(self) -> None:
        """The bell: there is work."""
        if self._asleep:
            self._asleep = False
            self._clock.after(self._costs.round_trip_us / 1e6, self._round)

    def _round(self) -> None:
        if self._ready:
            self._take(self._ready.popleft())
            return
        decided, self._decided = self._decided, 0
        if 0 < decided < SMALL_BATCH:
            self._clock.after(PATIENCE_SECONDS, self._round)
            return
        self._ready.extend(partition for partition, line in self._lines.items() if line)
        if self._ready:
            self._take(self._ready.popleft())
        else:
            self._asleep = True

    def _take(self, partition: int) -> None:
        # Half of what a batch costs Redis is taking, half replying.
        count = min(len(self._lines[partition]), self._batch_max)
        seconds = (self._costs.batch.redis_us + count * self._costs.decision.redis_us) / 2e6
        self._redis.submit(seconds, True, self._taken, partition, count, self._clock.now)

    def _taken(self, partition: int, count: int, began: float) -> None:
        line = self._lines[partition]
        persons = [line.popleft() for _ in range(count)]
        self._clock.after(self._costs.batch.wait_us / 1e6, self._write, partition, persons, began)

    def _write(self, partition: int, persons: list[int], began: float) -> None:
        confirmed, costs = self._decide(persons), self._costs
        worker = (
            costs.batch.worker_us
            + len(persons) * costs.decision.worker_us
            + confirmed * costs.booking.worker_us
        ) / 1e6
        postgres = (
            costs.batch.postgres_us
            + len(persons) * costs.decision.postgres_us
            + confirmed * costs.booking.postgres_us
        ) / 1e6
        self.usage.cpu += worker
        self.postgres.cpu += postgres
        self._clock.compute(worker + postgres, self._reply, partition, persons, confirmed, began, postgres)

    def _reply(
        self, partition: int, persons: list[int], confirmed: int, began: float, postgres: float
    ) -> None:
        now, costs = self._clock.now, self._costs
        self.postgres.note(now - postgres, now)
        seconds = (
            costs.batch.redis_us
            + len(persons) * costs.decision.redis_us
            + 2 * confirmed * costs.booking.redis_us
        ) / 2e6
        self._redis.submit(seconds, True, self._replied, partition, persons, began)

    def _replied(self, partition: int, persons: list[int], began: float) -> None:
        self.usage.note(began, self._clock.now)
        self._decided += len(persons)
        self._told(partition, persons)
        self._round()
