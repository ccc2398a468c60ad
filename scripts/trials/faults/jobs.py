"""Faults of single jobs in Redis: delivered twice, damaged, evicted, and jobs that are not ours at all."""

import random
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import orjson
from redis import Redis
from redis.exceptions import RedisError

from scripts.trials.history import Fault
from shared.line import keys

_PATIENCE_SECONDS: Final = 3.0
_HUGE_BYTES: Final = 1_000_000
# Values that no release ever wrote: what a broken tool, a half-written restore or an attacker leaves behind.
_DAMAGE: Final = (
    ("data", b"\x80\x04pickled"),
    ("data", b"[]"),
    ("data", b'["os._exit",null,[1],{}]'),
    ("data", b"x" * _HUGE_BYTES),
    (
        "data",
        b'["worker.jobs.decide",null,[],{"kind":"book","event_id":1,"user_id":1,"tickets":1e99}]',
    ),
    ("arrival", b"x"),
    ("enqueued_at", b"yesterday"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """A job in Redis. `event_id`: only of one that waits."""

    partition: int
    job_id: str
    event_id: int | None = None


class JobSpoiler:
    """Reaches into Redis beside the system, on a connection that no proxy stands before."""

    def __init__(self, redis: Redis, partitions: int) -> None:
        self._redis, self._partitions = redis, partitions

    def deliver_waiting_twice(self, chance: random.Random) -> Fault:
        """A waiting id stands in the line a second time, at its end: at its head it would be somebody's bribe."""
        return self._deliver("job: waiting, delivered twice", self._find_waiting(chance))

    def deliver_decided_again(self, chance: random.Random) -> Fault:
        """A decided id is put into the line again."""
        return self._deliver("job: decided, delivered again", self._find_finished(chance))

    def damage(self, chance: random.Random) -> Fault:
        """A waiting job's hash is not what was written."""
        began, found = time.monotonic(), self._find_waiting(chance)
        name, value = chance.choice(_DAMAGE)
        if found is not None:
            self._do(lambda: self._redis.hset(keys.job(found.job_id), name, value))
        return _fault("job: damaged", found, began, f"{name}={value[:40]!r}", spoils=True)

    def evict_waiting(self, chance: random.Random) -> Fault:
        """A waiting job's hash is gone."""
        return self._evict("job: waiting, evicted", self._find_waiting(chance), spoils=True)

    def evict_decided(self, chance: random.Random) -> Fault:
        """A decided job's hash is gone: the ledger still knows."""
        return self._evict("job: decided, evicted", self._find_finished(chance), spoils=False)

    def put_alien(self, chance: random.Random) -> Fault:
        """A job that would end the process of a stock worker, or one with a megabyte of arguments."""
        began, job_id = time.monotonic(), str(uuid.UUID(int=chance.getrandbits(128)))
        partition = chance.randrange(self._partitions)
        call: list[Any] = chance.choice(
            (["os._exit", None, [1], {}], ["os.getpid", None, ["x" * _HUGE_BYTES], {}])
        )
        fields: dict[Any, Any] = {
            "data": orjson.dumps(call),
            "status": "queued",
            "enqueued_at": "2030-01-01T00:00:00Z",
        }
        self._do(lambda: self._redis.hset(keys.job(job_id), mapping=fields))
        self._do(lambda: self._redis.rpush(keys.queue(partition), job_id))
        return _fault("job: alien", Found(partition, job_id), began, str(call[0]), spoils=True)

    def _deliver(self, kind: str, found: Found | None) -> Fault:
        began = time.monotonic()
        if found is not None:
            self._do(lambda: self._redis.rpush(keys.queue(found.partition), found.job_id))
        return _fault(kind, found, began, "")

    def _evict(self, kind: str, found: Found | None, *, spoils: bool) -> Fault:
        began = time.monotonic()
        if found is not None:
            self._do(lambda: self._redis.delete(keys.job(found.job_id)))
        return _fault(kind, found, began, "", spoils=spoils)

    def _do(self, change: Callable[[], object]) -> None:
        """A server that is away makes it unknown whether this was done: as with anything that is done to it."""
        with suppress(RedisError):
            change()

    def _find_waiting(self, chance: random.Random) -> Found | None:
        """A job that waits at this moment; None when the line stays empty."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            partition = chance.randrange(self._partitions)
            with suppress(RedisError):
                waiting: Any = self._redis.lrange(keys.queue(partition), -20, -1)
                if waiting and (found := self._look_at(partition, _text(chance.choice(waiting)))):
                    return found
        return None

    def _look_at(self, partition: int, job_id: str) -> Found | None:
        """None for a job that is no longer there, or damaged already."""
        data: Any = self._redis.hget(keys.job(job_id), "data")
        try:
            return Found(partition, job_id, int(orjson.loads(data or b"")[3]["event_id"]))
        except (ValueError, LookupError, TypeError):
            return None

    def _find_finished(self, chance: random.Random) -> Found | None:
        partition = chance.randrange(self._partitions)
        with suppress(RedisError):
            finished: Any = self._redis.zrange(keys.finished(partition), -100, -1)
            if finished:
                return Found(partition, _text(chance.choice(finished)))
        return None


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")


def job_faults(spoiler: JobSpoiler) -> dict[str, Callable[[random.Random], Fault]]:
    """Kind → function that injects it."""
    return {
        "job: waiting, delivered twice": spoiler.deliver_waiting_twice,
        "job: decided, delivered again": spoiler.deliver_decided_again,
        "job: damaged": spoiler.damage,
        "job: waiting, evicted": spoiler.evict_waiting,
        "job: decided, evicted": spoiler.evict_decided,
        "job: alien": spoiler.put_alien,
    }


def _fault(kind: str, found: Found | None, began: float, note: str, *, spoils: bool = False) -> Fault:
    return Fault(
        kind=kind,
        target="" if found is None else found.job_id,
        began_at=began,
        ended_at=time.monotonic(),
        note="" if found is None else f"partition {found.partition}, {note}".removesuffix(", "),
        spoilt=[found.job_id] if found is not None and spoils else [],
        event_id=None if found is None else found.event_id,
    )
