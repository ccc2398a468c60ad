"""How fast an installation of some size can be, from what one operation costs.

Two operational laws, which hold whatever the arrivals look like: a resource that is busy `d` microseconds an operation
does at most 1,000,000 / d a second (the utilisation law), and `n` operations under way that take `r` microseconds each
when nobody is in their way are at most n / r (Little's law). The least of these ceilings is the limit. Costs are what
work costs alone; where the cores are the limit all work has company, which has its price. Pure: no clock, no I/O.
"""

from dataclasses import dataclass, field, fields
from typing import Final

MICROS: Final = 1_000_000.0

CORES: Final = "cores"
API: Final = "API processes"
REDIS: Final = "Redis"
CLIENT: Final = "client"
CONNECTIONS: Final = "connections"
WORKERS: Final = "workers"
PARTITIONS: Final = "busy partitions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Microseconds of CPU that an operation takes of each kind of process. `wait_us` is nobody's CPU: disks, wake-ups,
    whatever else an operation stands still for.
    """

    api_us: float = 0.0
    redis_us: float = 0.0
    postgres_us: float = 0.0
    worker_us: float = 0.0
    client_us: float = 0.0
    wait_us: float = 0.0

    @property
    def cpu_us(self) -> float:
        """CPU of all processes together."""
        return self.serial_us - self.wait_us

    @property
    def serial_us(self) -> float:
        """How long it takes when one thing happens after the other and nobody is in its way."""
        return float(sum(getattr(self, part.name) for part in fields(self)))

    def plus(self, other: "Demand", *, times: float = 1.0) -> "Demand":
        """This and `times` the other."""
        return Demand(
            **{
                part.name: getattr(self, part.name) + times * getattr(other, part.name)
                for part in fields(self)
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What the bench measured on the machine in question. A decision costs its own share and a share of its batch.

    `company`: how many seconds of a core a second's worth of lone work takes where more processes than cores want to
    work.
    """

    accept: Demand
    decision: Demand
    batch: Demand = field(default_factory=Demand)
    batch_max: int = 500
    patient_below: int = 64  # after a batch smaller than this a worker waits for more
    patience_us: float = 5_000.0
    company: float = 1.0

    def decision_in(self, batch_size: float) -> Demand:
        """One of the decisions of a batch of that size."""
        return self.decision.plus(self.batch, times=1 / batch_size)

    @property
    def lane_us(self) -> float:
        """From one decision of a partition's long line to the next. Two batches are in flight: while one is decided and
        written, Redis hands out the next and is told the last. The slower of the two sides counts.
        """
        each = self.decision_in(self.batch_max)
        return max(each.redis_us, each.serial_us - each.redis_us)

    def batch_cycle_us(self, batch_size: float) -> float:
        """From taking a batch of that size to taking the next, when nobody is in its way. A batch that is not full is
        the only one in flight: everything in it is one after the other.
        """
        patience = self.patience_us if batch_size < self.patient_below else 0.0
        return patience + batch_size * self.decision_in(batch_size).serial_us


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """An installation and its load. `cores` may be a fraction: what others leave. Partitions count when requests of
    at least one event wait in them; one worker can hold several, one partition has one worker.
    """

    cores: float
    api_processes: int = 2
    workers: int = 1
    busy_partitions: int = 1
    redis_primaries: int = 1
    clients: int | None = None  # load processes on the same cores; None: the clients are elsewhere
    connections: int | None = None  # that ask one thing after the other; None: any number


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What one resource allows."""

    resource: str
    per_second: float


@dataclass(frozen=True, slots=True)
class Throughput:
    """Operations a second, and why not more: the ceilings, lowest first."""

    ceilings: tuple[Ceiling, ...]
    batch_size: float | None = None  # of the decisions in it

    @property
    def per_second(self) -> float:
        """What the lowest ceiling allows."""
        return self.limit.per_second

    @property
    def limit(self) -> Ceiling:
        """The bottleneck."""
        return self.ceilings[0]

    @property
    def next_limit(self) -> Ceiling:
        """What stands in the way once the bottleneck is gone."""
        return self.ceilings[1]


def accepts(costs: Costs, size: Size) -> Throughput:
    """Accepts a second while nothing is decided."""
    return _lowest_first(_accept_ceilings(costs.accept, size) | _shared_ceilings(costs, costs.accept, size))


def decisions(costs: Costs, size: Size) -> Throughput:
    """Decisions a second of lines that are long enough for full batches, while nothing is accepted."""
    each = costs.decision_in(costs.batch_max)
    ceilings = _shared_ceilings(costs, each, size) | _lane_ceiling(costs, size)
    return _lowest_first(ceilings, costs.batch_max)


def end_to_end(costs: Costs, size: Size) -> Throughput:
    """Requests a second that are accepted and decided, both on the same resources. Batches are as large as what is
    accepted during one: small ones cost more a decision, which leaves less for accepting.
    """
    batch_size, steps = 1.0, 200
    for _ in range(steps):
        found = _end_to_end(costs, size, batch_size)
        cycle = _crowded_cycle_us(costs, size, batch_size, found.limit.resource)
        arriving = found.per_second / _lanes(size)[1] * cycle / MICROS
        # Halfway each time: straight ahead it may leap over the size from which nobody is patient, and back.
        batch_size += (min(max(arriving, 1.0), costs.batch_max) - batch_size) / 2
    return _end_to_end(costs, size, batch_size)


def _end_to_end(costs: Costs, size: Size, batch_size: float) -> Throughput:
    both = costs.accept.plus(costs.decision_in(batch_size))
    ceilings = (
        _accept_ceilings(costs.accept, size)
        | _shared_ceilings(costs, both, size)
        | _lane_ceiling(costs, size)  # what waits longer comes in larger batches
    )
    return _lowest_first(ceilings, batch_size)


def _crowded_cycle_us(costs: Costs, size: Size, batch_size: float, limit: str) -> float:
    """A batch's cycle: longer where everybody queues for Redis, and by the price of company where all want a core."""
    each, delayed_us = costs.decision_in(batch_size), 0.0
    if limit == REDIS:
        waiting = (size.api_processes + _lanes(size)[1]) / size.redis_primaries
        delayed_us = each.redis_us * max(0.0, waiting - 1)
    elif limit == CORES:
        delayed_us = each.cpu_us * (costs.company - 1)
    return costs.batch_cycle_us(batch_size) + batch_size * delayed_us


def _shared_ceilings(costs: Costs, each: Demand, size: Size) -> dict[str, float]:
    cpu = each.cpu_us - (each.client_us if size.clients is None else 0.0)
    return {
        # Full cores are the company that has its price; below the other ceilings there is room.
        CORES: _rate(size.cores, costs.company * cpu),
        REDIS: _rate(size.redis_primaries, each.redis_us),  # one thread runs its scripts
    }


def _accept_ceilings(each: Demand, size: Size) -> dict[str, float]:
    found = {API: _rate(size.api_processes, each.api_us)}  # one interpreter lock each
    if size.clients is not None:
        found[CLIENT] = _rate(size.clients, each.client_us)
    if size.connections is not None:
        found[CONNECTIONS] = _rate(size.connections, each.serial_us)
    return found


def _lane_ceiling(costs: Costs, size: Size) -> dict[str, float]:
    """A partition is decided strictly one batch after the other."""
    name, lanes = _lanes(size)
    return {name: _rate(lanes, costs.lane_us)}


def _lanes(size: Size) -> tuple[str, int]:
    if size.workers < size.busy_partitions:
        return WORKERS, size.workers
    return PARTITIONS, size.busy_partitions


def _rate(servers: float, busy_us: float) -> float:
    return MICROS * servers / busy_us if busy_us > 0 else float("inf")


def _lowest_first(ceilings: dict[str, float], batch_size: float | None = None) -> Throughput:
    found = [Ceiling(resource, per_second) for resource, per_second in ceilings.items()]
    return Throughput(tuple(sorted(found, key=lambda ceiling: ceiling.per_second)), batch_size)
