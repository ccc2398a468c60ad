"""One event's line, as its host may see it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from redis.exceptions import RedisError

from shared.clock import from_micros
from shared.domain.partitions import partition_of
from shared.line import keys
from shared.line.client import LineUnavailableError, ScriptRunner, text_of
from shared.line.installation import Installation
from shared.line.pages import ListPlace, page_list
from shared.services.line_jobs import read_instant

# Entries of the partition among which the event's oldest request is looked for.
LOOKED_AT_MAX: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLine:
    """`depth` undecided requests; `head_arrival` is decided next, None when nobody waits. `decided_per_second` is
    the partition's measured rate, None before the first measurement. `oldest_waiting_seconds` is None when nobody
    waits, and when so many requests of other events are before it that it was not found.
    """

    event_id: int
    depth: int
    head_arrival: int | None
    decided_per_second: float | None
    oldest_waiting_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    given: int
    decided: int
    rate: float | None
    now: datetime


def read_event_line(runner: ScriptRunner, installation: Installation, event_id: int) -> EventLine:
    """The event's line. Up to three round trips, whatever the depth. Raises LineUnavailableError, also when Redis
    belongs to another installation.
    """
    partition = partition_of(event_id, installation.partitions)
    counts = _read_counts(runner, installation, partition, event_id)
    depth = max(counts.given - counts.decided, 0)
    oldest = _find_oldest(runner, partition, event_id) if depth else None
    return EventLine(
        event_id=event_id,
        depth=depth,
        head_arrival=counts.decided + 1 if depth else None,
        decided_per_second=counts.rate,
        oldest_waiting_seconds=None
        if oldest is None
        else round(max((counts.now - oldest).total_seconds(), 0.0), 3),
    )


def _read_counts(runner: ScriptRunner, installation: Installation, partition: int, event_id: int) -> _Counts:
    try:
        with runner.redis.pipeline(transaction=True) as pipe:
            pipe.get(keys.INSTALLATION)
            pipe.hget(keys.arrivals(partition), str(event_id))
            pipe.hget(keys.decided(partition), str(event_id))
            pipe.hget(keys.counters(partition), "rate")
            pipe.time()
            mark, given, decided, rate, (seconds, micros) = pipe.execute()
    except (RedisError, OSError) as error:
        raise LineUnavailableError("The line did not answer.") from error
    if mark is not None and text_of(mark) != installation.mark:
        raise LineUnavailableError("This Redis belongs to another installation.")
    return _Counts(
        given=int(given or 0),
        decided=int(decided or 0),
        rate=float(rate) if rate else None,
        now=from_micros(int(seconds) * 1_000_000 + int(micros)),
    )


def _find_oldest(runner: ScriptRunner, partition: int, event_id: int) -> datetime | None:
    """When the event's oldest undecided request was accepted: of what is in flight, else of what waits."""
    for key in (keys.in_flight(partition), keys.queue(partition)):
        page = page_list(runner, key, ListPlace(), limit=1, budget=LOOKED_AT_MAX, event_id=event_id)
        if page.jobs:
            return read_instant(page.jobs[0].accepted_at)
    return None
