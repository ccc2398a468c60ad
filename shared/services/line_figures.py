"""The line's own figures for `/metrics`, asked of Redis and PostgreSQL at every scrape: right wherever workers run."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from redis import Redis
from sqlalchemy import Engine

from shared.db import transaction
from shared.line.counters import LineCounters, read_counters
from shared.line.inspect import count_live_workers
from shared.line.look import PartitionLook, look_at_partitions
from shared.store.figures import count_log_ins, list_claimed, list_slots
from shared.store.line_state import find_pause

T = TypeVar("T")

# A scraper waits ten seconds; a server that has fallen silent must not keep it from this process' own figures.
WAIT_SECONDS: Final = 2.0
# Counting log-ins and looking at events need not happen at every scrape.
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
    slots: Mapping[int, int] = field(default_factory=dict)  # event → tickets left


class Question(Generic[T]):
    """Asks in a thread (a greenlet under gevent), so that nobody waits longer than WAIT_SECONDS for the answer.

    While one question is still unanswered no second one is asked.
    """

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._asking = threading.Lock()

    def begin(self) -> Callable[[], T | None]:
        """Asks, and returns what waits for the answer: None when the server gives none in time."""
        if not self._asking.acquire(blocking=False):
            return lambda: None
        answers: list[T] = []

        def run() -> None:
            try:
                answers.append(self._ask())
            except Exception:  # noqa: BLE001 - whatever it is, the answer is that there is none
                return
            finally:
                self._asking.release()

        thread = threading.Thread(target=run, name="line-figures", daemon=True)
        thread.start()
        deadline = time.monotonic() + WAIT_SECONDS

        def wait() -> T | None:
            thread.join(max(deadline - time.monotonic(), 0.0))
            return answers[0] if answers else None

        return wait


class LineFigures:
    """One process' questions about the line."""

    def __init__(self, engine: Engine, redis: "Redis", partitions: int) -> None:
        self._engine, self._redis, self._partitions = engine, redis, partitions
        self._of_redis = Question(self._ask_redis)
        self._of_postgres = Question(self._ask_postgres)
        self._kept: tuple[int, Mapping[int, int]] = (0, {})
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
                self._kept = count_log_ins(session), list_slots(session, limit=SLOTS_MAX)
                self._kept_until = time.monotonic() + KEEP_SECONDS
            log_ins, slots = self._kept
            return PostgresFigures(
                claimed=list_claimed(session),
                paused=find_pause(session) is not None,
                log_ins=log_ins,
                slots=slots,
            )
