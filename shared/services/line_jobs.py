"""The jobs in the line, page by page, for admins."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from redis.exceptions import RedisError

from shared.clock import from_micros, parse_rfc3339, rfc3339
from shared.domain.outcomes import REASONS
from shared.domain.partitions import partition_of
from shared.domain.requests import PayloadError, decode_payload
from shared.errors import InvalidInputError
from shared.ids import BIGINT_MAX
from shared.line import keys
from shared.line.client import LineUnavailableError, ScriptRunner
from shared.line.pages import (
    ListPlace,
    RawJob,
    RegistryPlace,
    page_list,
    page_registry,
)

JobState = Literal["waiting", "in_flight", "failed", "finished"]

# Entries that one call looks at when it wants those of one event: Redis does nothing else meanwhile (10 ms).
SCANNED_MAX: Final = 2_000

_DIGITS_MAX: Final = 20

UNREADABLE: Final = "The request cannot be read; a worker sets it aside when its turn comes."
FAILED: Final = REASONS["request_failed"]


@dataclass(frozen=True, slots=True)
class LinePlace:
    """A place in the queues, or in what is in flight: partition by partition, oldest first."""

    partition: int
    place: ListPlace


Place = LinePlace | RegistryPlace


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery:
    """Which jobs are asked for, and behind which place: a LinePlace of what is undecided, a RegistryPlace of what
    is decided.
    """

    state: JobState
    limit: int
    partition: int | None = None
    event_id: int | None = None
    after: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEntry:
    """One job. What cannot be read is None, and `error` says so.

    `status` is RQ's word for it. `attempts` are processes that took it: none while it waits; in flight, more than
    one when some ended with its batch; one afterwards, because the reply forgets them.
    """

    id: str
    partition: int | None
    kind: str | None
    event_id: int | None
    user_id: int | None
    tickets: int | None
    arrival: int | None
    status: str | None
    withdrawn: bool
    accepted_at: str | None
    age_seconds: float | None
    attempts: int
    error: str | None


@dataclass(frozen=True, slots=True)
class JobPage:
    """A page of jobs. `next` is where the next one begins, None on the last; with an event a page may be short,
    even empty, and have a next one all the same: each call looks at SCANNED_MAX entries at most.
    """

    jobs: Sequence[JobEntry]
    next: Place | None


@dataclass(frozen=True, slots=True)
class _Moment:
    """Redis' clock, and how many processes have taken what is in flight in each partition."""

    now: datetime
    takers: Sequence[int]


def list_jobs(runner: ScriptRunner, *, partitions: int, query: JobQuery) -> JobPage:
    """The page that `query` asks for: undecided jobs by partition and then oldest first, decided ones the newest
    first. A round trip a partition and one more, whatever the depth. Raises InvalidInputError for a partition that
    is none, LineUnavailableError.
    """
    if query.partition is not None and query.partition >= partitions:
        raise InvalidInputError([{"pointer": "?partition", "detail": f"There are {partitions} partitions."}])
    chosen = range(partitions) if query.partition is None else range(query.partition, query.partition + 1)
    if query.event_id is not None:
        own = partition_of(query.event_id, partitions)
        chosen = range(own, own + 1) if own in chosen else range(0)
    moment = _look_at_clock(runner, partitions)
    if query.state in ("waiting", "in_flight"):
        return _list_undecided(runner, chosen, query, moment)
    return _list_decided(runner, chosen, query, moment)


def _look_at_clock(runner: ScriptRunner, partitions: int) -> _Moment:
    try:
        with runner.redis.pipeline(transaction=False) as pipe:
            for partition in range(partitions):
                pipe.scard(keys.suspects(partition))
            pipe.time()
            *takers, (seconds, micros) = pipe.execute()
    except (RedisError, OSError) as error:
        raise LineUnavailableError("The line did not answer.") from error
    return _Moment(from_micros(int(seconds) * 1_000_000 + int(micros)), takers)


def _list_undecided(runner: ScriptRunner, chosen: range, query: JobQuery, moment: _Moment) -> JobPage:
    key_of: Callable[[int], str] = keys.queue if query.state == "waiting" else keys.in_flight
    after = query.after if isinstance(query.after, LinePlace) else LinePlace(0, ListPlace())
    jobs: list[JobEntry] = []
    for partition in chosen:
        if partition < after.partition:
            continue
        # With nothing more to show, the rest is only asked whether there is something.
        room = query.limit - len(jobs)
        page = page_list(
            runner,
            key_of(partition),
            after.place if partition == after.partition else ListPlace(),
            limit=room,
            budget=room if query.event_id is None else SCANNED_MAX,
            event_id=query.event_id,
        )
        attempts = 0 if query.state == "waiting" else max(1, moment.takers[partition])
        jobs += [make_entry(job, partition, now=moment.now, attempts=attempts) for job in page.jobs]
        if page.more:
            return JobPage(jobs, LinePlace(partition, page.end))
    return JobPage(jobs, None)


def _list_decided(runner: ScriptRunner, chosen: range, query: JobQuery, moment: _Moment) -> JobPage:
    key_of: Callable[[int], str] = keys.failed if query.state == "failed" else keys.finished
    after = query.after if isinstance(query.after, RegistryPlace) else None
    found: list[tuple[RegistryPlace, JobEntry]] = []
    more = False
    end: RegistryPlace | None = None
    for partition in chosen:
        page = page_registry(
            runner,
            key_of(partition),
            after,
            now=moment.now.timestamp(),
            limit=query.limit,
            budget=query.limit if query.event_id is None else SCANNED_MAX,
            event_id=query.event_id,
        )
        more, end = more or page.more, page.end
        for job in page.jobs:
            entry = make_entry(job, partition, now=moment.now, attempts=1)
            found.append((RegistryPlace(job.score or 0.0, job.id), entry))
    if query.event_id is not None:
        return JobPage([entry for _, entry in found], end if more else None)
    found.sort(key=lambda pair: (pair[0].score, pair[0].id), reverse=True)
    shown = found[: query.limit]
    more = more or len(found) > len(shown)
    return JobPage([entry for _, entry in shown], shown[-1][0] if more and shown else None)


def make_entry(job: RawJob, partition: int | None, *, now: datetime, attempts: int) -> JobEntry:
    """A job's hash as admins see it, whatever lies there."""
    payload = read_payload(job.data)
    accepted_at = read_instant(job.accepted_at)
    status = None if job.status is None else job.status.decode(errors="replace")
    error = FAILED if status == "failed" else None
    return JobEntry(
        id=job.id,
        partition=partition,
        kind=payload.get("kind"),
        event_id=number_in(payload, "event_id"),
        user_id=number_in(payload, "user_id"),
        tickets=number_in(payload, "tickets"),
        arrival=read_number(job.arrival),
        status=status,
        withdrawn=job.withdrawn,
        accepted_at=None if accepted_at is None else rfc3339(accepted_at),
        age_seconds=None if accepted_at is None else round(max((now - accepted_at).total_seconds(), 0.0), 3),
        attempts=attempts,
        error=error if payload else UNREADABLE,
    )


def read_payload(data: bytes | None) -> dict[str, Any]:
    """The payload, empty when it cannot be read."""
    try:
        return decode_payload(data or b"")
    except PayloadError:
        return {}


def number_in(payload: dict[str, Any], name: str) -> int | None:
    """A number that is one: a hash may have been tampered with."""
    value = payload.get(name)
    return value if type(value) is int and 0 <= value <= BIGINT_MAX else None


def read_number(digits: bytes | None) -> int | None:
    """A number of ours; None when it cannot be read."""
    number = int(digits) if digits is not None and len(digits) < _DIGITS_MAX and digits.isdigit() else None
    return number if number is None or number <= BIGINT_MAX else None


def read_instant(text: bytes | None) -> datetime | None:
    """An instant as the line writes it; None when it cannot be read."""
    try:
        return None if text is None else parse_rfc3339(text.decode())
    except ValueError:
        return None
