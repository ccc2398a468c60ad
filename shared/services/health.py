"""Whether everything that a booking needs is there."""

from collections.abc import Mapping

from redis import Redis
from redis.exceptions import RedisError

from shared.line.inspect import count_live_workers, list_troubles
from shared.services.line_gate import LineGate
from shared.store.line_state import Pause


def check_readiness(
    gate: LineGate, redis: "Redis", *, partitions: int, pause: Pause | None, live_workers: int | None = None
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """(problems, warnings) by part: postgres, schema, redis, durability, installation, demo, worker are problems;
    what makes the line stand although everything is there (paused, suspended, a partition's trouble) and what
    was lost are warnings.

    `live_workers` is what a caller that shows the workers too has counted, so that both agree; counted here
    without. Looks each time it is asked: the gate's round trips and two more.
    """
    state = gate.check()
    problems = dict(state.problems)
    if "redis" not in problems:
        try:
            if (count_live_workers(redis) if live_workers is None else live_workers) == 0:
                problems["worker"] = "No booking worker is alive; requests are accepted and wait"
        except (RedisError, OSError) as error:
            problems["redis"] = f"Redis cannot be reached: {type(error).__name__}"
    warnings = dict(state.warnings)
    if "redis" not in problems:
        try:
            warnings.update(list_troubles(redis, partitions))
        except (RedisError, OSError) as error:
            problems["redis"] = f"Redis cannot be reached: {type(error).__name__}"
    if pause is not None:
        warnings["paused"] = f"The line is paused: {pause.reason or 'no reason given'}"
    return problems, warnings
