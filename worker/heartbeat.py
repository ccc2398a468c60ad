"""Who is alive: workers say a word every second by Redis' clock, and learn how many they are."""

from typing import Final

from redis import Redis

from shared.line import keys
from shared.line.inspect import LIVE_SECONDS

BEAT_SECONDS: Final = 1.0

# Redis' own clock, so that machines with different clocks agree on who is alive.
_BEAT = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
redis.call('ZADD', KEYS[1], now, ARGV[1])
return redis.call('ZCARD', KEYS[1])
"""


def beat(redis: "Redis", worker_name: str) -> int:
    """Marks the worker as alive; returns how many booking workers are. One round trip."""
    return int(redis.eval(_BEAT, 1, keys.LIVE_WORKERS, worker_name, LIVE_SECONDS))


def leave(redis: "Redis", worker_name: str) -> None:
    """Stops counting at once instead of after three seconds. One round trip."""
    redis.zrem(keys.LIVE_WORKERS, worker_name)
