"""What the model says of sizes that nobody has at hand: where each limit lies, and what comes after it."""

import math
from typing import Final

from scripts.capacity import model
from scripts.capacity.model import MICROS, Costs, Size, Throughput

# (cores, Redis primaries, busy partitions): each row takes away the bottleneck of the one before.
SIZES: Final = (
    (2, 1, 8),
    (4, 1, 8),
    (16, 1, 8),
    (16, 4, 8),
    (16, 4, 64),
    (64, 1, 64),
    (64, 4, 64),
    (64, 16, 64),
)
COLUMNS: Final = (
    "cores",
    "Redis primaries",
    "busy partitions",
    "accepts a second",
    "decisions a second",
    "end to end a second",
    "next bottleneck there",
    "busy with it: API processes, workers",
)


def outlook(costs: Costs) -> list[tuple[str, ...]]:
    """A row of COLUMNS for each of SIZES: clients elsewhere, as many API processes as cores, and as many workers as
    cores or partitions, whichever are fewer.
    """
    return [_row(costs, *size) for size in SIZES]


def _row(costs: Costs, cores: int, primaries: int, partitions: int) -> tuple[str, ...]:
    size = Size(
        cores=cores,
        api_processes=cores,
        workers=min(cores, partitions),
        busy_partitions=partitions,
        redis_primaries=primaries,
    )
    both = model.end_to_end(costs, size)
    after = both.next_limit
    api = both.per_second * costs.accept.api_us / MICROS
    deciding = both.per_second * costs.decision_in(both.batch_size or 1).serial_us / MICROS
    return (
        f"{cores}",
        f"{primaries}",
        f"{partitions}",
        _named(model.accepts(costs, size)),
        _named(model.decisions(costs, size)),
        _named(both),
        f"{after.resource}, {_rounded(after.per_second)}",
        f"{math.ceil(api)}, {math.ceil(deciding)}",
    )


def _named(found: Throughput) -> str:
    return f"{_rounded(found.per_second)} ({found.limit.resource})"


def _rounded(value: float) -> str:
    """Two digits: a model of this kind knows no more."""
    if math.isinf(value):
        return "any"
    step = 10 ** max(0, math.floor(math.log10(max(value, 1))) - 1)
    return f"{round(value / step) * step:,}"
