"""Booking jobs as they lie in Redis, read in bulk."""

import base64
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import EllipsisType
from typing import Any, Final

import orjson
from redis import Redis

from shared.clock import rfc3339
from shared.domain.partitions import QUEUE_PREFIX
from shared.line import keys

_DECIDED: Final = ("finished", "failed")
# Fields of a reply (`result_document`) that the ledger has too. It says more: the booking, as it was then.
_COLUMNS: Final = frozenset(
    {"outcome", "reason", "facts", "number", "arrival", "available_after", "decided_at"}
)


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What the ledger says of a job, as far as a reply repeats it."""

    job_id: uuid.UUID
    event_id: int
    number: int
    arrival: int | None
    outcome: str
    reason: str | None
    available_after: int
    facts: dict[str, Any]
    decided_at: datetime

    def value_of(self, name: str) -> object | EllipsisType:
        """The value that a reply's field must have; `...` when the ledger does not say."""
        if name not in _COLUMNS:
            return ...
        value = getattr(self, name)
        return rfc3339(value) if isinstance(value, datetime) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFields:
    """A job's hash, and the reply in its result stream once it is decided."""

    id: str
    status: str = ""
    partition: int = -1
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def decided(self) -> bool:
        """Redis calls it finished or failed."""
        return self.status in _DECIDED

    @property
    def uuid(self) -> uuid.UUID | None:
        """The id as a UUID; None when it is none of ours."""
        try:
            return uuid.UUID(self.id)
        except ValueError:
            return None


def list_jobs(redis: "Redis", chunk: int) -> Iterator[list[str]]:
    """The ids of all job hashes, some thousand at a time, some twice (SCAN)."""
    cursor = 0
    while True:
        cursor, found = redis.scan(cursor, match=f"{keys.JOB_PREFIX}*", count=chunk, _type="HASH")
        if found:
            yield [text_of(raw).removeprefix(keys.JOB_PREFIX) for raw in found]
        if cursor == 0:
            return


def read_jobs(redis: "Redis", ids: Sequence[str]) -> list[JobFields]:
    """The booking jobs among `ids`, as they are now. One round trip, two when some are decided."""
    with redis.pipeline(transaction=False) as pipe:
        for job_id in ids:
            pipe.hmget(keys.job(job_id), "status", "origin")
        hashes = pipe.execute(raise_on_error=False)
    jobs = [job for job_id, values in zip(ids, hashes, strict=True) if (job := _job(job_id, values))]
    decided = [job for job in jobs if job.decided]
    with redis.pipeline(transaction=False) as pipe:
        for job in decided:
            pipe.xrevrange(keys.result(job.id), count=1)
        entries = pipe.execute(raise_on_error=False)
    for job, entry in zip(decided, entries, strict=True):
        job.result.update(_result(entry))
    return jobs


def text_of(raw: bytes | str) -> str:
    """What Redis answered, as text; redis-py's types leave open which of the two it is."""
    return raw if isinstance(raw, str) else raw.decode(errors="replace")


def _job(job_id: str, values: object) -> JobFields | None:
    """None for jobs of other queues, and for a hash that is gone or broken, which workers set aside."""
    if not isinstance(values, list) or None in values:
        return None
    status, origin = (text_of(value) for value in values)
    number = origin.removeprefix(QUEUE_PREFIX)
    if not origin.startswith(QUEUE_PREFIX) or not number.isdigit():
        return None
    return JobFields(id=job_id, status=status, partition=int(number))


def _result(entries: object) -> dict[str, Any]:
    """The reply; empty when it has expired before its job."""
    try:
        value = entries[0][1][b"return_value"]  # type: ignore[index]
        result = orjson.loads(base64.b64decode(value))
    except (LookupError, TypeError, ValueError):
        return {}
    return result if isinstance(result, dict) else {}
