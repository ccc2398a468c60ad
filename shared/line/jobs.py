"""One job whole, as it lies in Redis: for admins, who see also what is damaged."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from shared.clock import from_micros
from shared.domain.partitions import QUEUE_PREFIX
from shared.line import keys
from shared.line.client import LineUnavailableError, text_of
from shared.line.installation import Installation
from shared.line.pages import RawJob


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundJob:
    """A job's hash, `read_at` by Redis' clock. `partition` is None where it does not say; the instants are those of
    workers, as they wrote them.
    """

    raw: RawJob
    partition: int | None
    taken_at: bytes | None
    ended_at: bytes | None
    worker: str | None
    read_at: datetime


@dataclass(frozen=True, slots=True)
class JobPlace:
    """The event's last decided arrival, None where Redis knows of none, and how many processes have taken what is
    in flight in the partition.
    """

    last_decided: int
    takers: int


def find_job(redis: "Redis", installation: Installation, job_id: uuid.UUID) -> FoundJob | None:
    """The job; None when Redis has nothing under that id, or a job that is none of the line's. One round trip.

    Raises LineUnavailableError, also when Redis belongs to another installation.
    """
    names = (
        "data",
        "enqueued_at",
        "arrival",
        "status",
        "withdrawn",
        "started_at",
        "ended_at",
        "worker_name",
        "origin",
    )
    key = keys.job(str(job_id))
    try:
        with redis.pipeline(transaction=True) as pipe:
            pipe.get(keys.INSTALLATION)
            pipe.time()
            pipe.exists(key)
            pipe.hmget(key, *names)
            mark, (seconds, micros), exists, fields = pipe.execute(raise_on_error=False)
    except (RedisError, OSError) as error:
        raise LineUnavailableError("The line did not answer.") from error
    if mark is not None and text_of(mark) != installation.mark:
        raise LineUnavailableError("This Redis belongs to another installation.")
    if not exists:
        return None
    if isinstance(fields, ResponseError):  # something else under the key
        fields = [None] * len(names)
    data, accepted_at, arrival, status, withdrawn, taken_at, ended_at, worker, origin = fields
    queue = (origin or b"").decode(errors="replace")
    if queue and not queue.startswith(QUEUE_PREFIX):
        return None
    number = queue.removeprefix(QUEUE_PREFIX)
    return FoundJob(
        raw=RawJob(
            id=str(job_id),
            data=data,
            accepted_at=accepted_at,
            arrival=arrival,
            status=status,
            withdrawn=withdrawn == b"1",
        ),
        partition=int(number) if number.isdecimal() and int(number) < installation.partitions else None,
        taken_at=taken_at,
        ended_at=ended_at,
        worker=None if worker is None else worker.decode(errors="replace"),
        read_at=from_micros(int(seconds) * 1_000_000 + int(micros)),
    )


def read_place(redis: "Redis", partition: int, event_id: int) -> JobPlace:
    """What an undecided job's place is computed from. One round trip. Raises LineUnavailableError."""
    try:
        with redis.pipeline(transaction=True) as pipe:
            pipe.hget(keys.decided(partition), str(event_id))
            pipe.scard(keys.suspects(partition))
            decided, takers = pipe.execute()
    except (RedisError, OSError) as error:
        raise LineUnavailableError("The line did not answer.") from error
    return JobPlace(int(decided or 0), takers)
