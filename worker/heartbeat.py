"""Who is alive: workers say a word every second by Redis' clock, learn how many they are, and tell what they do."""

from collections.abc import Iterable, Mapping
from typing import Final

from redis import Redis

from shared.line import keys
from shared.line.inspect import LIVE_SECONDS
from shared.line.look import DECIDED_FIELD, HELD_FIELD, SPEED_FIELD

BEAT_SECONDS: Final = 1.0

# Redis' own clock, so that machines with different clocks agree on who is alive. Who was heard of in the future was
# heard of before that clock was set back: the living say a word again within a second.
_BEAT = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')
redis.call('ZADD', KEYS[1], now, ARGV[1])
return redis.call('ZCARD', KEYS[1])
"""


def beat(redis: "Redis", worker_name: str) -> int:
    """Marks the worker as alive; returns how many booking workers are. One round trip."""
    return int(redis.eval(_BEAT, 1, keys.LIVE_WORKERS, worker_name, LIVE_SECONDS))


def leave(redis: "Redis", worker_name: str) -> None:
    """Stops counting at once instead of after three seconds. One round trip."""
    redis.zrem(keys.LIVE_WORKERS, worker_name)


class WorkerReport:
    """What a worker says of itself in its hash: the partitions it holds, what it has decided, how fast.

    Only what changed is written, because every write is synced: an idle worker writes nothing here.
    """

    def __init__(self) -> None:
        self._said: dict[str, str] = {}
        self._decided = 0
        self._at: float | None = None

    def changes(self, *, held: Iterable[int], decided: int, now: float) -> dict[str, str]:
        """The fields to write now; `decided` is the total, `now` seconds of any steady clock."""
        seconds = BEAT_SECONDS if self._at is None else max(now - self._at, 1e-3)
        speed = (decided - self._decided) / seconds
        self._decided, self._at = decided, now
        saying = {
            HELD_FIELD: ",".join(str(partition) for partition in sorted(held)),
            DECIDED_FIELD: str(decided),
            SPEED_FIELD: f"{speed:.1f}",
        }
        return {name: value for name, value in saying.items() if self._said.get(name) != value}

    def written(self, fields: Mapping[str, str]) -> None:
        """These stand in the hash now."""
        self._said.update(fields)

    def forget(self) -> None:
        """The hash is new: everything is to be said again."""
        self._said.clear()
