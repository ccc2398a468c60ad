"""A look at the line as it is now, partitions and workers: at a cost that does not grow with what waits.

What `/api/admin/queue/stats`, `guichet queue stats`, `guichet top` and a host's view of their event show. It reads
lengths and heads only: never a scan, and never RQ's `registry.count`, which cleans up and runs callbacks.
"""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

from shared.clock import parse_rfc3339, rfc3339
from shared.line import keys
from shared.line.client import LineUnavailableError, text_of
from shared.line.inspect import LIVE_SECONDS

# What a booking worker writes into its hash at each beat, beside RQ's own fields.
HELD_FIELD: Final = "partitions"
DECIDED_FIELD: Final = "decided"
SPEED_FIELD: Final = "decided_per_second"

_REPLIES: Final = 7  # of one partition, in `look_at_partitions`


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionLook:
    """One partition. `accepted` and `decided` are its running numbers, `rate` decisions a second as measured while
    there was something to decide (None before that), `oldest_waiting_seconds` the age of the oldest undecided
    request by Redis' clock, `trouble` why its line stands.
    """

    partition: int
    waiting: int
    in_flight: int
    finished: int
    failed: int
    lost: int
    accepted: int
    decided: int
    rate: float | None
    oldest_waiting_seconds: float | None
    trouble: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLook:
    """One booking worker. `decided` since it started; `decided_per_second` over its last second, 0 when idle.
    `live`: heard of within the last three seconds. What it says of itself may be a second old.
    """

    name: str
    state: str
    partitions: list[int]
    heartbeat_at: str | None
    live: bool
    decided: int
    decided_per_second: float


def look_at_partitions(redis: "Redis", partitions: int) -> list[PartitionLook]:
    """Every partition. Two round trips, whatever the depth. Raises LineUnavailableError."""
    with _answering():
        heads, now = _read_heads(redis, partitions)
        with redis.pipeline(transaction=False) as pipe:
            for partition, head in enumerate(heads):
                pipe.llen(keys.queue(partition))
                pipe.llen(keys.in_flight(partition))
                # What has expired stands in its registry until the next reply.
                pipe.zcount(keys.finished(partition), f"({int(now)}", "+inf")
                pipe.zcount(keys.failed(partition), f"({int(now)}", "+inf")
                pipe.llen(keys.lost(partition))
                pipe.hmget(keys.counters(partition), "accepted", "decided", "rate")
                pipe.get(keys.trouble(partition))
                if head is not None:
                    pipe.hget(keys.JOB_PREFIX.encode() + head, "enqueued_at")
            replies = iter(pipe.execute(raise_on_error=False))
    looks = []
    for partition, head in enumerate(heads):
        found = [next(replies) for _ in range(_REPLIES)]
        accepted_at = None if head is None else next(replies)
        looks.append(_partition_look(partition, found, _age(accepted_at, now)))
    return looks


def _read_heads(redis: "Redis", partitions: int) -> tuple[list[bytes | None], float]:
    """The oldest undecided job id of each partition, and Redis' clock."""
    with redis.pipeline(transaction=False) as pipe:
        for partition in range(partitions):
            pipe.lindex(keys.in_flight(partition), 0)
            pipe.lindex(keys.queue(partition), 0)
        pipe.time()
        *found, (seconds, micros) = pipe.execute()
    heads = [taken or waiting for taken, waiting in zip(found[::2], found[1::2], strict=True)]
    return heads, int(seconds) + int(micros) / 1e6


def _partition_look(partition: int, found: list[Any], age: float | None) -> PartitionLook:
    for reply in found:  # a key that somebody made something else of
        if isinstance(reply, Exception):
            raise LineUnavailableError("The line did not answer.") from reply
    waiting, in_flight, finished, failed, lost, (accepted, decided, rate), trouble = found
    return PartitionLook(
        partition=partition,
        waiting=waiting,
        in_flight=in_flight,
        finished=finished,
        failed=failed,
        lost=lost,
        accepted=int(_number(accepted)),
        decided=int(_number(decided)),
        rate=None if rate is None else _number(rate),
        oldest_waiting_seconds=age if waiting + in_flight else None,
        trouble=None if trouble is None else text_of(trouble),
    )


def look_at_workers(redis: "Redis") -> list[WorkerLook]:
    """Booking workers that were heard of lately, by name. Two round trips. Raises LineUnavailableError."""
    with _answering():
        with redis.pipeline(transaction=False) as pipe:
            pipe.zrange(keys.LIVE_WORKERS, 0, -1, withscores=True)
            pipe.time()
            heard, (seconds, _) = pipe.execute()
        with redis.pipeline(transaction=False) as pipe:
            for name, _ in heard:
                pipe.hmget(
                    keys.worker(text_of(name)),
                    ["state", "last_heartbeat", HELD_FIELD, DECIDED_FIELD, SPEED_FIELD],
                )
            found = pipe.execute(raise_on_error=False)
    looks = [
        _worker_look(text_of(name), fields, live=abs(int(seconds) - heard_at) <= LIVE_SECONDS)
        for (name, heard_at), fields in zip(heard, found, strict=True)
        if isinstance(fields, list)
    ]
    return sorted(looks, key=lambda look: look.name)


def _worker_look(name: str, fields: list[bytes | None], *, live: bool) -> WorkerLook:
    state, heartbeat_at, held, decided, speed = (
        None if field is None else field.decode(errors="replace") for field in fields
    )
    return WorkerLook(
        name=name,
        state=state or "unknown",
        partitions=sorted(int(number) for number in (held or "").split(",") if number.isdecimal()),
        heartbeat_at=_instant(heartbeat_at),
        live=live,
        decided=int(_number(decided)),
        decided_per_second=_number(speed),
    )


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise LineUnavailableError("The line did not answer.") from error


def _age(accepted_at: object, now: float) -> float | None:
    """Seconds since then; None for a head without a readable job."""
    if not isinstance(accepted_at, bytes):
        return None
    try:
        return max(now - parse_rfc3339(accepted_at.decode()).timestamp(), 0.0)
    except ValueError:
        return None


def _instant(text: str | None) -> str | None:
    """RQ's form of an instant in ours."""
    with contextlib.suppress(ValueError):
        return rfc3339(parse_rfc3339(text or ""))
    return None


def _number(value: bytes | str | None) -> float:
    """A number as Redis keeps it; 0 for what is none."""
    try:
        number = float(value or 0)
    except ValueError:
        return 0.0
    return number if math.isfinite(number) else 0.0
