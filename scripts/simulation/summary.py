"""What a sale was like, simulated or real: waits, ends, the line over time, and what limited it."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from scripts.benches.figures import percentile
from scripts.simulation.people import CONFIRMED, DECIDED, ENDS, People
from scripts.simulation.sale import Sale
from scripts.simulation.scenario import Scenario

SLOTS: Final = 50  # of the charts
SATURATED: Final = 0.85  # above it queues grow

_SHARES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The sale in equal slots of time: how many pressed first, were accepted, and were decided in each; how many
    stood in line at its end; the median wait in ms, from pressing to the decision, of who pressed in it.
    """

    slot_seconds: float
    pressed: list[int]
    accepted: list[int]
    decided: list[int]
    depth: list[int]
    wait_ms_p50: list[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The share of the time that something was occupied, over the whole sale and in its busiest second."""

    mean: float
    busiest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The sale's figures; seconds after the opening. `gone_seconds`: when the last seat was given, None while some are
    left. `drain_seconds`: from the last person who pressed to the last answer or decision.
    """

    people: int
    ends: dict[str, int]
    gone_seconds: float | None
    ended_seconds: float
    drain_seconds: float
    accepted_per_second: float
    decided_per_second: float
    waits_ms: dict[str, dict[str, float]]
    depth_max: int
    depth_max_seconds: float
    course: Course

    @property
    def decided(self) -> int:
        """How many stood in line and were decided."""
        return sum(self.ends[end] for end in DECIDED)

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {name: rounded(value) for name, value in asdict(self).items()}


def summarise(people: People, *, seats_left: int) -> Summary:
    """The figures of what became of people. Some 5 µs a person."""
    decided = [person for person, end in enumerate(people.ends) if end in DECIDED]
    accepted_at = sorted(people.accepted[person] for person in decided)
    decided_at = sorted(people.decided[person] for person in decided)
    confirmed_at = [people.decided[person] for person in decided if people.ends[person] == CONFIRMED]
    last = max([*decided_at[-1:], *(at for at in people.answered if not math.isnan(at))])
    depth_max, depth_max_at = _deepest(accepted_at, decided_at)
    first = people.pressed[0]
    return Summary(
        people=len(people.pressed),
        ends={end: people.ends.count(end) for end in ENDS},
        gone_seconds=max(confirmed_at) if confirmed_at and not seats_left else None,
        ended_seconds=last,
        drain_seconds=max(last - people.pressed[-1], 0.0),
        accepted_per_second=_rate(accepted_at, first),
        decided_per_second=_rate(decided_at, first),
        waits_ms=_waits(people, decided),
        depth_max=depth_max,
        depth_max_seconds=depth_max_at,
        course=_course(people, decided, last),
    )


def loads(sale: Sale, scenario: Scenario, seconds: float) -> dict[str, Load]:
    """By resource: the API's processes together, the busiest worker, Redis, PostgreSQL on that worker's behalf and
    others', all cores.
    """
    found = {
        "API": _load(sale.usage["API"].occupied, seconds, scenario.api),
        "worker": max(
            (_load(usage.occupied, seconds, 1) for usage in sale.workers), key=lambda load: load.mean
        ),
        "Redis": _load(sale.usage["Redis"].occupied, seconds, 1),
        "PostgreSQL": _load(sale.usage["PostgreSQL"].occupied, seconds, scenario.workers),
    }
    cpu = sum(cpu_seconds(sale).values())
    cores = cpu / max(seconds, 1e-9) / scenario.cores
    busiest = max(_busiest_cores(sale, scenario), cores)
    return found | {"cores": Load(mean=min(cores, 1.0), busiest=min(busiest, 1.0))}


def cpu_seconds(sale: Sale) -> dict[str, float]:
    """What each resource computed, all of its processes together."""
    found = {name: usage.cpu for name, usage in sale.usage.items()}
    return {**found, "worker": sum(usage.cpu for usage in sale.workers)}


def bottleneck(found: dict[str, Load]) -> str:
    """What was occupied most in its busiest second; empty while nothing came near its limit. Cores that are all busy
    make everything else look busy too, so they come first.
    """
    if found["cores"].busiest >= SATURATED:
        return "cores"
    name = max(found, key=lambda each: found[each].busiest)
    return name if found[name].busiest >= SATURATED else ""


def _waits(people: People, decided: Sequence[int]) -> dict[str, dict[str, float]]:
    refused = [
        person
        for person, end in enumerate(people.ends)
        if end not in DECIDED and not math.isnan(people.answered[person])
    ]
    kinds = {
        "pressed_to_accepted": [people.accepted[i] - people.pressed[i] for i in decided],
        "accepted_to_decided": [people.decided[i] - people.accepted[i] for i in decided],
        "pressed_to_decided": [people.decided[i] - people.pressed[i] for i in decided],
        "pressed_to_refused": [people.answered[i] - people.pressed[i] for i in refused],
    }
    return {name: wait_figures(seconds) for name, seconds in kinds.items() if seconds}


def wait_figures(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p90, p99 and max in ms."""
    ordered = sorted(seconds)
    figures = {name: 1000 * percentile(ordered, share) for name, share in _SHARES.items()}
    return {**figures, "max": 1000 * ordered[-1]}


def _deepest(accepted_at: Sequence[float], decided_at: Sequence[float]) -> tuple[int, float]:
    depth_max, at, gone = 0, 0.0, 0
    for count, moment in enumerate(accepted_at, start=1):
        while gone < len(decided_at) and decided_at[gone] < moment:
            gone += 1
        if count - gone > depth_max:
            depth_max, at = count - gone, moment
    return depth_max, at


def _rate(moments: Sequence[float], first: float) -> float:
    return len(moments) / max(moments[-1] - first, 1e-9) if moments else 0.0


def _course(people: People, decided: Sequence[int], last: float) -> Course:
    slot = max(last, 1e-6) / SLOTS
    pressed, accepted, done = [0] * SLOTS, [0] * SLOTS, [0] * SLOTS
    waits: list[list[float]] = [[] for _ in range(SLOTS)]

    def slot_of(moment: float) -> int:
        return min(int(moment / slot), SLOTS - 1)

    for moment in people.pressed:
        pressed[slot_of(moment)] += 1
    for person in decided:
        accepted[slot_of(people.accepted[person])] += 1
        done[slot_of(people.decided[person])] += 1
        waits[slot_of(people.pressed[person])].append(people.decided[person] - people.pressed[person])
    depth, now = [], 0
    for came, went in zip(accepted, done, strict=True):
        now += came - went
        depth.append(now)
    medians = [1000 * percentile(each, 0.5) if each else None for each in waits]
    return Course(
        slot_seconds=slot, pressed=pressed, accepted=accepted, decided=done, depth=depth, wait_ms_p50=medians
    )


def _load(occupied: dict[int, float], seconds: float, servers: int) -> Load:
    """The busiest whole second; a sale shorter than one is its own busiest second."""
    span = min(max(seconds, 1e-9), 1.0) * servers
    mean = sum(occupied.values()) / max(seconds, 1e-9) / servers
    busiest = max(occupied.values(), default=0.0) / span
    return Load(mean=min(mean, 1.0), busiest=min(max(busiest, mean), 1.0))


def _busiest_cores(sale: Sale, scenario: Scenario) -> float:
    """What everybody computed is spread over the seconds in which they were occupied."""
    seconds: dict[int, float] = {}
    for usage in [*sale.usage.values(), *sale.workers]:
        pace = usage.cpu / max(sum(usage.occupied.values()), 1e-9)
        for second, occupied in usage.occupied.items():
            seconds[second] = seconds.get(second, 0.0) + pace * occupied
    return max(seconds.values(), default=0.0) / scenario.cores


def rounded(value: Any) -> Any:  # noqa: ANN401 - JSON
    """JSON values with floats of four digits."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return value
