"""Whether everything that a booking needs is there."""

from collections.abc import Mapping

from redis import Redis
from redis.exceptions import RedisError

from shared.line.inspect import count_live_workers
from shared.services.line_gate import LineGate


def check_readiness(gate: LineGate, redis: "Redis") -> tuple[Mapping[str, str], Mapping[str, str]]:
    """(problems, warnings) by part: postgres, schema, redis, durability, installation, worker.

    Looks each time it is asked: the gate's round trips and two more.
    """
    state = gate.check()
    problems = dict(state.problems)
    if "redis" not in problems:
        try:
            if count_live_workers(redis) == 0:
                problems["worker"] = "No booking worker is alive; requests are accepted and wait"
        except (RedisError, OSError) as error:
            problems["redis"] = f"Redis cannot be reached: {type(error).__name__}"
    return problems, state.warnings
