"""The line page by page: who waits, what is in flight, what RQ's registries hold. Reads only.

Places are those of a job, never offsets, so that a page follows the one before whatever leaves or comes meanwhile.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import ResponseError

from shared.line import keys
from shared.line.client import AnswerUnknownError, Argument, LineUnavailableError, ScriptRunner

REGISTRY_FIELDS: Final = ("data", "enqueued_at", "arrival", "status", "withdrawn")


@dataclass(frozen=True, slots=True)
class ListPlace:
    """Behind the job with this running number of its partition, and behind `skip` unreadable ones after it.
    (0, 0) is before everything.
    """

    sequence: int = 0
    skip: int = 0


@dataclass(frozen=True, slots=True)
class RegistryPlace:
    """Behind the job `id` with this score (when RQ forgets it, in seconds since the epoch)."""

    score: float
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RawJob:
    """A job's hash as it lies there; None for what it does not have. `score` in a registry only."""

    id: str
    data: bytes | None
    accepted_at: bytes | None
    arrival: bytes | None
    status: bytes | None
    withdrawn: bool
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """A page of a list. `more`: there is something behind `end`; `scanned` entries were looked at."""

    jobs: Sequence[RawJob]
    end: ListPlace
    more: bool
    scanned: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryPage:
    """A page of a registry; `end` is None when nothing was looked at."""

    jobs: Sequence[RawJob]
    end: RegistryPlace | None
    more: bool
    scanned: int


def page_list(
    runner: ScriptRunner, key: str, after: ListPlace, *, limit: int, budget: int, event_id: int | None = None
) -> ListPage:
    """The next `limit` jobs of a queue or of what is in flight, oldest first; of `event_id` only, if given, among
    the next `budget`. One round trip; finding the place costs the logarithm of the depth. Raises
    LineUnavailableError.
    """
    entries, sequence, skip, more, scanned = run_reading(
        runner,
        "page_list",
        key,
        [after.sequence, after.skip, limit, budget, _pattern_of(event_id), keys.JOB_PREFIX],
    )
    return ListPage(
        jobs=[_raw_job(entry[0], entry[1:]) for entry in entries],
        end=ListPlace(int(sequence), int(skip)),
        more=more == 1,
        scanned=int(scanned),
    )


def page_registry(
    runner: ScriptRunner,
    key: str,
    after: RegistryPlace | None,
    *,
    now: float,
    limit: int,
    budget: int,
    event_id: int | None = None,
) -> RegistryPage:
    """The next `limit` jobs of a registry, the newest first, without those that have expired by `now`. One round
    trip, like `page_list`. Raises LineUnavailableError.
    """
    arguments: list[Argument] = ["", ""] if after is None else [repr(after.score), after.id]
    arguments += [limit, budget, _pattern_of(event_id), keys.JOB_PREFIX, int(now), *REGISTRY_FIELDS]
    entries, score, job_id, more, scanned = run_reading(runner, "page_registry", key, arguments)
    return RegistryPage(
        jobs=[_raw_job(entry[0], entry[2:], score=float(entry[1])) for entry in entries],
        end=RegistryPlace(float(score), _text(job_id)) if scanned else None,
        more=more == 1,
        scanned=int(scanned),
    )


def run_reading(runner: ScriptRunner, script: str, key: str, arguments: Sequence[Argument]) -> Any:  # noqa: ANN401 - a reply
    """The answer of a script that only reads. Raises LineUnavailableError, also for a key of another type."""
    try:
        return runner.run(script, [key], arguments)
    except (AnswerUnknownError, ResponseError) as error:
        raise LineUnavailableError("The line did not answer.") from error


def _pattern_of(event_id: int | None) -> str:
    """A Lua pattern that the `data` of this event's requests has: our encoder writes no spaces."""
    return "" if event_id is None else f'"event_id":{event_id}[,}}]'


def _raw_job(job_id: bytes, fields: Sequence[bytes | None], *, score: float | None = None) -> RawJob:
    data, accepted_at, arrival, status, withdrawn = fields
    return RawJob(
        id=_text(job_id),
        data=data,
        accepted_at=accepted_at,
        arrival=arrival,
        status=status,
        withdrawn=withdrawn == b"1",
        score=score,
    )


def _text(raw: bytes) -> str:
    """An id may be any bytes; what is no text in them is shown as such."""
    return raw.decode(errors="backslashreplace")
