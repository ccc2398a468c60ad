"""A Redis client that cannot write, for code that is not ours.

RQ writes where one only looks: it drops ids without a hash from the line, forgets workers, moves entries of
registries and runs failure callbacks. Here such a command never leaves the process.
"""

from typing import Any, Final

from redis import ConnectionPool, Redis
from redis.client import Pipeline

# All that showing queues, registries, jobs, results and workers takes.
READS: Final = frozenset(
    {
        "EXISTS",
        "HGET",
        "HGETALL",
        "LLEN",
        "LRANGE",
        "SMEMBERS",
        "XREVRANGE",
        "ZCARD",
        "ZRANGE",
    }
)


class WriteRefusedError(Exception):
    """A command that is not known to only read was about to be sent. A mistake of ours: nobody saw it coming."""


def _require_read(command: object) -> None:
    if str(command).upper() not in READS:
        raise WriteRefusedError(str(command))


class ReadOnlyPipeline(Pipeline):
    """Commands collected for one round trip, reads only."""

    def execute_command(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - redis-py's signature
        """Collects a command; raises WriteRefusedError."""
        _require_read(args[0])
        return super().execute_command(*args, **kwargs)


class ReadOnlyRedis(Redis):
    """A client on somebody's pool. Scripts, transactions' WATCH, pub/sub and all that writes are refused."""

    def __init__(self, pool: ConnectionPool) -> None:
        super().__init__(connection_pool=pool)

    def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - redis-py's signature
        """Sends a command; raises WriteRefusedError."""
        _require_read(args[0])
        return super().execute_command(*args, **options)

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:  # noqa: ANN401, FBT001, FBT002
        """A pipeline that refuses writes when they are put into it."""
        return ReadOnlyPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)

    def pubsub(self, **_options: Any) -> Any:  # noqa: ANN401 - redis-py's signature
        """Refused: it would take connections past `execute_command`."""
        raise WriteRefusedError("SUBSCRIBE")

    def monitor(self) -> Any:  # noqa: ANN401 - redis-py's signature
        """Refused like `pubsub`."""
        raise WriteRefusedError("MONITOR")
