"""Redis as it is when a trial is over: the line's keys, by plain commands."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, Final

import orjson
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError
from redis.retry import Retry

from shared.line import keys
from shared.line.survey import remembered_job

_AT_ONCE: Final = 2_000
_OURS: Final = "bookings-"
_UNDECIDED: Final = f"{keys.UNDECIDED_PREFIX}*"
_IDEMPOTENCY: Final = keys.idempotency("*", "*")


@dataclass(slots=True)
class JobHash:
    """A job's hash and, once it is decided, its result: the document that the worker replied. `status` is empty where
    the key holds something else.
    """

    status: str
    kind: str = ""
    event_id: int | None = None
    user_id: int | None = None
    arrival: int | None = None
    result: dict[str, Any] | None = None


@dataclass(slots=True, kw_only=True)
class Partition:
    """What a partition's keys say. `arrivals` and `decided`: event → the last number given out, the last decided."""

    waiting: list[str] = field(default_factory=list)
    in_flight: list[str] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    arrivals: dict[int, int] = field(default_factory=dict)
    decided: dict[int, int] = field(default_factory=dict)
    counters: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class LineKeys:
    """Everything that the checker asks Redis for."""

    partitions: dict[int, Partition] = field(default_factory=dict)
    jobs: dict[str, JobHash] = field(default_factory=dict)
    undecided: dict[int, set[str]] = field(default_factory=dict)  # user → ids
    remembered: dict[tuple[int, str], str] = field(
        default_factory=dict
    )  # (user, 128 bits of sha256 of the key) → job


def read_line(url: str, *, partitions: int) -> LineKeys:
    """All of it. 100,000 jobs and as many keys take three seconds of one core and 200 MB."""
    with Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=30) as client:
        line = LineKeys()
        for number in range(partitions):
            line.partitions[number] = _read_partition(client, number)
        for names in _scanned(client, f"{keys.JOB_PREFIX}*"):
            _read_jobs(client, [name.removeprefix(keys.JOB_PREFIX) for name in names], line.jobs)
        for names in _scanned(client, _UNDECIDED):
            for member, user in chain.from_iterable(_ask(client, names)):
                line.undecided.setdefault(int(user), set()).add(member.decode())
        before = _IDEMPOTENCY.split("*")[0]
        for names in _scanned(client, _IDEMPOTENCY):
            for name, value in zip(names, client.mget(names), strict=True):
                user_text, digest = name.removeprefix(before).split(":")
                if value is not None:
                    line.remembered[int(user_text), digest] = remembered_job(value)
        return line


def _read_partition(client: "Redis", number: int) -> Partition:
    def texts(items: Any) -> list[str]:  # noqa: ANN401 - redis-py's types know no answers of bytes
        return [item.decode(errors="replace") for item in items]

    def numbers(key: str) -> dict[int, int]:
        return {int(name): int(value) for name, value in client.hgetall(key).items()}

    counters: dict[Any, Any] = client.hgetall(keys.counters(number))
    return Partition(
        waiting=texts(client.lrange(keys.queue(number), 0, -1)),
        in_flight=texts(client.lrange(keys.in_flight(number), 0, -1)),
        started=texts(client.zrange(keys.started(number), 0, -1)),
        lost=texts(client.lrange(keys.lost(number), 0, -1)),
        arrivals=numbers(keys.arrivals(number)),
        decided=numbers(keys.decided(number)),
        counters={name.decode(): float(value) for name, value in counters.items()},
    )


def _read_jobs(client: "Redis", ids: list[str], jobs: dict[str, JobHash]) -> None:
    ids = [job_id for job_id in ids if ":" not in job_id]
    with client.pipeline(transaction=False) as pipe:
        for job_id in ids:
            pipe.hmget(keys.job(job_id), "status", "data", "arrival", "origin")
            pipe.xrevrange(keys.result(job_id), count=1)
        answers = pipe.execute(raise_on_error=False)
    for job_id, fields, entries in zip(ids, answers[::2], answers[1::2], strict=True):
        if isinstance(fields, ResponseError) or isinstance(entries, ResponseError):
            jobs[job_id] = JobHash("")
        elif (fields[3] or b"").decode().startswith(_OURS):
            jobs[job_id] = _job(fields, entries)


def _job(fields: list[bytes | None], entries: list[Any]) -> JobHash:
    status, data, arrival, _ = fields
    job = JobHash((status or b"").decode(errors="replace"))
    try:
        payload = orjson.loads(data or b"")[3]
        job.kind, job.event_id, job.user_id = payload["kind"], payload["event_id"], payload["user_id"]
        job.arrival = int(arrival or b"")
        if entries and (value := entries[0][1].get(b"return_value")):
            job.result = orjson.loads(base64.b64decode(value))
    except (ValueError, TypeError, LookupError):
        job.status = ""
    return job


def _scanned(client: "Redis", pattern: str) -> Iterator[list[str]]:
    """Names of keys, so many at once."""
    names = (name.decode(errors="replace") for name in client.scan_iter(match=pattern, count=_AT_ONCE))
    while batch := list(islice(names, _AT_ONCE)):
        yield batch


def _ask(client: "Redis", names: list[str]) -> list[Any]:
    with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.zrange(name, 0, -1, withscores=True)
        return pipe.execute()
