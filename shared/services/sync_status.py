"""Whether Redis and the ledger say the same about the line, partition by partition: a quick look, not an audit.

It reads counters and the ends of lists. `guichet audit` compares every job.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine, func, select, text
from sqlalchemy.orm import Session

from shared.db import transaction
from shared.line import keys
from shared.line.client import LineUnavailableError, text_of
from shared.line.installation import Installation
from shared.models import ControlRequest, Event
from shared.store.line_state import get_installation

# Events of one partition that are compared; with more, the look says that it is not complete.
EVENTS_MAX: Final = 5_000
EVENTS_SHOWN: Final = 10

# A control request is put into the line every second, and again after a minute: older ones do not get there.
CONTROL_LATE_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSync:
    """An event about which the two disagree: the last arrival that each calls decided."""

    event_id: int
    decided: int
    last_arrival: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionSync:
    """One partition. `undecided` is what the running numbers say, `waiting` and `in_flight` what the lists hold;
    `behind` are events that the ledger has decided further than Redis knows, `ahead` the others.
    """

    partition: int
    waiting: int
    in_flight: int
    undecided: int
    lost: int
    token: int
    events: int
    complete: bool
    behind: Sequence[EventSync] = ()
    ahead: Sequence[EventSync] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStatus:
    """The whole look. Nothing to explain means that they agree."""

    at: datetime
    partitions: Sequence[PartitionSync] = ()
    control_pending: int = 0
    control_oldest_seconds: float | None = None
    token_sequence: int = 0
    explanations: Sequence[str] = ()

    @property
    def in_sync(self) -> bool:
        """Whether nothing needs an explanation."""
        return not self.explanations


def look_at_sync(engine: Engine, redis: "Redis") -> SyncStatus:
    """Reads Redis, then the ledger, then once more what differed: a decision is committed before it is replied.

    Round trips: some ten for each partition. Raises LineUnavailableError, and what SQLAlchemy raises.
    """
    with transaction(engine) as session:
        installation = get_installation(session)
        now, pending, oldest_seconds, sequence = _control_plane(session)
    try:
        problem = _installation_problem(redis, installation)
        partitions = (
            ()
            if problem
            else [_look(engine, redis, partition) for partition in range(installation.partitions)]
        )
    except (RedisError, OSError) as error:
        raise LineUnavailableError("The line did not answer.") from error
    found = SyncStatus(
        at=now,
        partitions=partitions,
        control_pending=pending,
        control_oldest_seconds=oldest_seconds,
        token_sequence=sequence,
    )
    return replace(found, explanations=[problem] if problem else list(_explain(found)))


def _control_plane(session: Session) -> tuple[datetime, int, float | None, int]:
    now: datetime = session.execute(select(func.now())).scalar_one()
    pending, oldest = session.execute(
        select(func.count(), func.min(ControlRequest.created_at)).where(ControlRequest.decided_at.is_(None))
    ).one()
    sequence = session.execute(text("select last_value from claim_token_seq")).scalar_one()
    return now, pending, None if oldest is None else (now - oldest).total_seconds(), sequence


def _installation_problem(redis: "Redis", installation: Installation) -> str:
    mark = redis.get(keys.INSTALLATION)
    if mark is None:
        return "Redis is empty: it knows nothing of this installation yet."
    if text_of(mark) != installation.mark:
        return "This Redis belongs to another installation."
    return ""


def _look(engine: Engine, redis: "Redis", partition: int) -> PartitionSync:
    decided, complete = _read_decided(redis, partition)
    with transaction(engine) as session:
        ledger = {
            row.id: row.last_arrival
            for row in session.execute(
                select(Event.id, Event.last_arrival).where(Event.id.in_(list(decided)))
            )
        }
    differing = [event_id for event_id, number in decided.items() if ledger.get(event_id, 0) != number]
    with redis.pipeline(transaction=True) as pipe:
        pipe.llen(keys.queue(partition))
        pipe.llen(keys.in_flight(partition))
        pipe.llen(keys.lost(partition))
        pipe.hmget(keys.counters(partition), ["accepted", "decided"])
        pipe.get(keys.claim_token(partition))
        pipe.hmget(keys.decided(partition), ["", *map(str, differing)])  # HMGET wants one field at least
        waiting, in_flight, lost, running, token, again = pipe.execute()
    # What has moved since was on its way, and so is whatever is still in flight.
    standing = [
        EventSync(event_id=event_id, decided=decided[event_id], last_arrival=ledger.get(event_id, 0))
        for event_id, value in zip(differing, again[1:], strict=True)
        if value is not None and int(value) == decided[event_id]
    ]
    return PartitionSync(
        partition=partition,
        waiting=waiting,
        in_flight=in_flight,
        undecided=int(running[0] or 0) - int(running[1] or 0),
        lost=lost,
        token=int(token or 0),
        events=len(decided),
        complete=complete,
        behind=[each for each in standing if each.decided < each.last_arrival and not in_flight],
        ahead=[each for each in standing if each.decided > each.last_arrival],
    )


def _read_decided(redis: "Redis", partition: int) -> tuple[Mapping[int, int], bool]:
    """Event → last arrival decided, of at most some EVENTS_MAX events, and whether those are all."""
    found: dict[int, int] = {}
    cursor = 0
    while True:
        cursor, page = redis.hscan(keys.decided(partition), cursor, count=1000)
        found.update((int(event), int(number)) for event, number in _now(page).items())
        if cursor == 0 or len(found) >= EVENTS_MAX:
            return found, cursor == 0


def _now(page: Any) -> Any:  # noqa: ANN401 - a client that answers at once has read it into a dict already
    return page


def _explain(status: SyncStatus) -> Iterator[str]:
    for look in status.partitions:
        name = f"Partition {look.partition}"
        if look.behind:
            yield (
                f"{name}: the ledger has decided more than Redis knows ({_shown(look.behind)}); replies were lost."
                " Places are told too far behind until the event's next decision."
            )
        if look.ahead:
            yield (
                f"{name}: Redis calls more decided than the ledger has ({_shown(look.ahead)}): PostgreSQL lost"
                " decisions, or was restored from a backup."
            )
        if look.undecided != look.waiting + look.in_flight:
            yield (
                f"{name}: {look.undecided} requests are undecided by the running numbers, the lists hold"
                f" {look.waiting} waiting and {look.in_flight} in flight; estimates of the wait are off."
            )
        if look.lost:
            yield f"{name}: {look.lost} ids without a readable request were set aside."
        if look.token > status.token_sequence:
            yield (
                f"{name}: its claim token {look.token} is above the sequence's {status.token_sequence}: PostgreSQL"
                " was restored from a backup; the next claim lifts the sequence."
            )
    oldest_seconds = status.control_oldest_seconds or 0.0
    if oldest_seconds > CONTROL_LATE_SECONDS:
        yield (
            f"{status.control_pending} requests of the control plane are undecided, the oldest for"
            f" {oldest_seconds:.0f} s: is the line paused, or no task worker alive?"
        )


def _shown(events: Sequence[EventSync]) -> str:
    shown = ", ".join(
        f"event {each.event_id}: {each.decided} in Redis, {each.last_arrival} in the ledger"
        for each in events[:EVENTS_SHOWN]
    )
    hidden = len(events) - EVENTS_SHOWN
    return f"{shown}, and {hidden} more" if hidden > 0 else shown
