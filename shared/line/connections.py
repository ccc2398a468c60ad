"""A stack of Redis connections for the hot path.

redis-py's pool asks its connection whether it is still there before each use and takes a lock twice: 11 % of
what accepting a booking costs an API process. Here the last one used is used next, unasked; whoever finds it
broken throws all of them away, because a server that closed one has closed the others too.
"""

import threading
import time
from typing import Any

from redis import Redis
from redis.exceptions import RedisError


class NoConnectionError(Exception):
    """Every connection is busy, or none can be made. Nothing was sent."""


class ConnectionStack:
    """Up to `maximum` connections made as `redis`' own pool makes them; waits for a free one `wait_seconds`."""

    def __init__(self, redis: "Redis") -> None:
        pool = redis.connection_pool
        self._pool = pool
        self._maximum: int = pool.max_connections
        self._wait_seconds: float = getattr(pool, "timeout", None) or 1.0
        self._idle: list[Any] = []
        self._made = 0
        self._waiting = 0
        self._changed = threading.Condition()

    def acquire(self) -> Any:  # noqa: ANN401 - redis-py names no common type of connections
        """A connection that nobody else uses. Raises NoConnectionError."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._make_or_wait()

    def release(self, connection: Any) -> None:  # noqa: ANN401
        """Gives back a connection whose answer was read to its end."""
        self._idle.append(connection)
        if self._waiting:
            with self._changed:
                self._changed.notify()

    def discard(self, connection: Any) -> None:  # noqa: ANN401
        """Throws away a connection that may be half read, and every idle one with it."""
        broken = [connection]
        while self._idle:
            try:
                broken.append(self._idle.pop())
            except IndexError:
                break
        for each in broken:
            each.disconnect()
        with self._changed:
            self._made -= len(broken)
            self._changed.notify(len(broken))

    def close(self) -> None:
        """Closes what is idle."""
        while self._idle:
            self._idle.pop().disconnect()

    def _make_or_wait(self) -> Any:  # noqa: ANN401
        deadline = time.monotonic() + self._wait_seconds
        with self._changed:
            self._waiting += 1  # before looking: whoever releases after this notifies
            try:
                while self._made >= self._maximum:
                    if self._idle:
                        return self._idle.pop()
                    if not self._changed.wait(deadline - time.monotonic()):
                        raise NoConnectionError("every connection to Redis is busy")
                self._made += 1
            finally:
                self._waiting -= 1
        try:
            connection = self._pool.connection_class(**self._pool.connection_kwargs)
            connection.connect()
        except (RedisError, OSError) as error:
            with self._changed:
                self._made -= 1
                self._changed.notify()
            raise NoConnectionError("Redis cannot be reached") from error
        return connection
