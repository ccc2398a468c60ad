"""Reading the line whole, to compare it with the ledger: every list, counter, set and key. Reads only.

Costs grow with what lies in Redis. No script is needed: whoever reads holds every partition, or asks again.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Final, Literal

from redis import Redis

from shared.clock import parse_rfc3339
from shared.domain.partitions import QUEUE_PREFIX
from shared.domain.requests import CONTROL_KINDS, PAYLOAD_VERSION, PayloadError, decode_request
from shared.line import keys

# What one round trip reads.
CHUNK: Final = 1000

# An idempotency record: a fingerprint's first half, a job id. The release before wrote both as text.
RECORD_BYTES: Final = 32

Fault = Literal["unreadable", "newer"]
_FIELDS: Final = ("status", "origin", "data", "enqueued_at", "arrival", "seq", "v")
UNDECIDED: Final = ("queued", "started")


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyedJob:
    """A booking job's hash. `counts_for` is whose undecided requests it belongs to, None for the control plane's.

    `fault` says that there is no request in it that this release can decide; the fields after it are 0 then.
    """

    id: str
    status: str
    partition: int
    fault: Fault | None = None
    event_id: int = 0
    arrival: int = 0
    seq: int = 0
    counts_for: int | None = None
    is_control: bool = False

    @property
    def is_undecided(self) -> bool:
        """Redis says that it waits or is in flight."""
        return self.status in UNDECIDED


def scan_jobs(redis: "Redis") -> Iterator[list[SurveyedJob]]:
    """Every booking job, some thousand at a time, some twice (SCAN)."""
    for names in _scan(redis, f"{keys.JOB_PREFIX}*", "HASH"):
        yield list(read_jobs(redis, [name.removeprefix(keys.JOB_PREFIX) for name in names]).values())


def read_jobs(redis: "Redis", ids: Sequence[str]) -> dict[str, SurveyedJob]:
    """Those of `ids` that have a job's hash. One round trip a thousand."""
    jobs: dict[str, SurveyedJob] = {}
    for start in range(0, len(ids), CHUNK):
        chunk = ids[start : start + CHUNK]
        with redis.pipeline(transaction=False) as pipe:
            for job_id in chunk:
                pipe.hmget(_raw(keys.job(job_id)), *_FIELDS)
            found = pipe.execute(raise_on_error=False)  # a key that is no hash gives an error: no job
        for job_id, values in zip(chunk, found, strict=True):
            if isinstance(values, list) and (job := _job(job_id, values)) is not None:
                jobs[job_id] = job
    return jobs


def list_known(redis: "Redis", ids: Sequence[str]) -> set[str]:
    """Those of `ids` that have a job's hash, whatever request is in it. One round trip a thousand."""
    known: set[str] = set()
    for start in range(0, len(ids), CHUNK):
        chunk = ids[start : start + CHUNK]
        with redis.pipeline(transaction=False) as pipe:
            for job_id in chunk:
                pipe.hget(_raw(keys.job(job_id)), "origin")
            origins = pipe.execute(raise_on_error=False)
        known.update(
            job_id
            for job_id, origin in zip(chunk, origins, strict=True)
            if isinstance(origin, bytes | str) and _partition(origin) is not None
        )
    return known


def _partition(origin: bytes | str | None) -> int | None:
    """Whose line a job came from; None when that is none of ours."""
    queue = _text(origin or b"")
    number = queue.removeprefix(QUEUE_PREFIX)
    return int(number) if queue.startswith(QUEUE_PREFIX) and number.isdecimal() else None


def _job(job_id: str, values: Sequence[bytes | None]) -> SurveyedJob | None:
    status, origin, data, accepted_at, arrival, seq, version = values
    partition = _partition(origin)
    if partition is None:
        return None
    make = partial(SurveyedJob, id=job_id, status=_text(status or b""), partition=partition)
    if _number(version) > PAYLOAD_VERSION:
        return make(fault="newer")
    try:
        request = decode_request(
            job_id,
            data or b"",
            arrival=int(arrival or b""),
            accepted_at=parse_rfc3339((accepted_at or b"").decode()),
            withdrawn=False,
        )
    except (PayloadError, ValueError):
        return make(fault="unreadable")
    is_control = request.kind in CONTROL_KINDS or request.acting_as == "account"
    return make(
        event_id=request.event_id,
        arrival=request.arrival,
        seq=_number(seq),
        counts_for=None if is_control else request.user_id,
        is_control=is_control,
    )


def read_list(redis: "Redis", key: str) -> list[str]:
    """The ids in a list, in order. One round trip a thousand."""
    ids: list[str] = []
    while chunk := redis.lrange(key, len(ids), len(ids) + CHUNK - 1):
        ids += [_text(raw) for raw in chunk]
    return ids


@dataclass(frozen=True, slots=True)
class Counters:
    """A partition's running numbers and the jobs in RQ's started registry."""

    arrivals: dict[int, int]
    decided: dict[int, int]
    accepted_total: int
    decided_total: int
    started: set[str]  # members, with RQ's execution id


def read_counters(redis: "Redis", partition: int) -> Counters:
    """Everything that a partition counts, as it is at one moment. One round trip."""
    with redis.pipeline(transaction=True) as pipe:
        pipe.hgetall(keys.arrivals(partition))
        pipe.hgetall(keys.decided(partition))
        pipe.hmget(keys.counters(partition), "accepted", "decided")
        pipe.zrange(keys.started(partition), 0, -1)
        arrivals, decided, (accepted_total, decided_total), started = pipe.execute()
    return Counters(
        arrivals={int(event): int(number) for event, number in arrivals.items()},
        decided={int(event): int(number) for event, number in decided.items()},
        accepted_total=_number(accepted_total),
        decided_total=_number(decided_total),
        started={_text(member) for member in started},
    )


def read_undecided_of_users(redis: "Redis") -> dict[int, set[str]]:
    """User → the ids counted as undecided, the release before's too. One round trip a thousand keys."""
    found: dict[int, set[str]] = {}
    for names in _scan(redis, f"{keys.UNDECIDED_PREFIX}*", "ZSET"):
        with redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.zrange(name, 0, -1, withscores=True)
            for member, score in chain.from_iterable(pipe.execute()):
                found.setdefault(int(score), set()).add(_text(member))
    before, after = keys.undecided_of_user_before("*").split("*")
    for names in _scan(redis, keys.undecided_of_user_before("*"), "SET"):
        with redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.smembers(name)
            members = pipe.execute()
        for name, ids in zip(names, members, strict=True):
            user = name.removeprefix(before).removesuffix(after)
            if user.isdecimal():
                found.setdefault(int(user), set()).update(_text(raw) for raw in ids)
    return found


def is_counted(pipe: "Redis", user_id: int, job_id: str) -> None:
    """Asks in two commands whether a request is counted as its user's: the second for the release before's."""
    pipe.zscore(keys.undecided_by_user(user_id), job_id)
    pipe.sismember(keys.undecided_of_user_before(user_id), job_id)


def scan_numbers_of_users(redis: "Redis") -> Iterator[int]:
    """Users that stood in line within the last day: whose keys there are. Some twice."""
    for pattern in (keys.idempotency("*", "*"), keys.idempotency_before("*", "*"), keys.rate_of_user("*")):
        position = pattern.split(":").index("*")
        for names in _scan(redis, pattern, "STRING"):
            yield from (int(user) for name in names if (user := name.split(":")[position]).isdecimal())


def scan_idempotency_records(redis: "Redis") -> Iterator[dict[str, tuple[bytes | str, str]]]:
    """Record's key → its value and the job id in it, some thousand at a time."""
    for pattern in (keys.idempotency("*", "*"), keys.idempotency_before("*", "*")):
        for names in _scan(redis, pattern, "STRING"):
            values = redis.mget(names)
            yield {
                name: (value, remembered_job(value))
                for name, value in zip(names, values, strict=True)
                if value is not None
            }


def remembered_job(record: bytes | str) -> str:
    """The id of the job that an idempotency record stands for, whichever release wrote it."""
    if isinstance(record, bytes) and len(record) == RECORD_BYTES:
        return str(uuid.UUID(bytes=record[-16:]))
    return _text(record).rpartition(":")[2]


def _scan(redis: "Redis", pattern: str, kind: str) -> Iterator[list[str]]:
    cursor = 0
    while True:
        cursor, found = redis.scan(cursor, match=pattern, count=CHUNK, _type=kind)
        if found:
            yield [_text(raw) for raw in found]
        if cursor == 0:
            return


def _number(value: bytes | str | None) -> int:
    """A number as Redis keeps it; 0 for what is none."""
    try:
        return int(value or 0)
    except ValueError:
        return 0


def _text(raw: bytes | str) -> str:
    """An id may be any bytes; those that are no text come back with surrogate escapes."""
    return raw if isinstance(raw, str) else raw.decode(errors="surrogateescape")


def _raw(name: str) -> bytes:
    return name.encode(errors="surrogateescape")
