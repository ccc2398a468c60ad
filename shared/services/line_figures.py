"""The line's own figures for `/metrics`, asked of Redis and PostgreSQL at every scrape: right wherever workers run."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from redis import Redis
from sqlalchemy import Engine

from shared.db import transaction
from shared.line.counters import LineCounters, read_counters
from shared.line.inspect import count_live_workers
from shared.line.look import PartitionLook, look_at_partitions
from shared.questions import Question
from shared.store.figures import count_log_ins, list_claimed, list_slots
from shared.store.ledger_audits import AuditDone, find_last_audit
from shared.store.line_state import find_pause
from shared.store.outbox import Backlog, look_at_backlog
from shared.store.waitlist import WaitlistCounts, count_waitlists

# Counting log-ins and who waits, and looking at events, need not happen at every scrape.
KEEP_SECONDS: Final = 15.0
SLOTS_MAX: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisFigures:
    """What Redis knows of the line."""

    partitions: Sequence[PartitionLook]
    workers: int
    counters: LineCounters


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresFigures:
    """What PostgreSQL knows of it."""

    claimed: set[int]
    paused: bool
    log_ins: int
    outbox: Backlog
    audit: AuditDone | None
    waitlists: WaitlistCounts
    slots: Mapping[int, int] = field(default_factory=dict)  # event → tickets left


class LineFigures:
    """One process' questions about the line."""

    def __init__(self, engine: Engine, redis: "Redis", partitions: int) -> None:
        self._engine, self._redis, self._partitions = engine, redis, partitions
        self._of_redis = Question("figures-redis", self._ask_redis)
        self._of_postgres = Question("figures-postgres", self._ask_postgres)
        self._kept: tuple[int, Mapping[int, int], WaitlistCounts] = (0, {}, WaitlistCounts())
        self._kept_until = float("-inf")

    def read(self) -> tuple[RedisFigures | None, PostgresFigures | None]:
        """Both servers' figures, None for one that does not answer. A handful of round trips to each, whose cost
        does not grow with the depth of the line.
        """
        of_redis, of_postgres = self._of_redis.begin(), self._of_postgres.begin()
        return of_redis(), of_postgres()

    def _ask_redis(self) -> RedisFigures:
        return RedisFigures(
            partitions=look_at_partitions(self._redis, self._partitions),
            workers=count_live_workers(self._redis),
            counters=read_counters(self._redis),
        )

    def _ask_postgres(self) -> PostgresFigures:
        with transaction(self._engine) as session:
            if time.monotonic() >= self._kept_until:
                self._kept = (
                    count_log_ins(session),
                    list_slots(session, limit=SLOTS_MAX),
                    count_waitlists(session),
                )
                self._kept_until = time.monotonic() + KEEP_SECONDS
            log_ins, slots, waitlists = self._kept
            return PostgresFigures(
                claimed=list_claimed(session),
                paused=find_pause(session) is not None,
                log_ins=log_ins,
                outbox=look_at_backlog(session),
                audit=find_last_audit(session),
                slots=slots,
                waitlists=waitlists,
            )
