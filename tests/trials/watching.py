"""Clients that call again and again while something goes wrong, and remember what they saw."""

import random
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg2
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from scripts.trials.site import script_needle
from tests.lines import await_that

EARLIEST = "accept"
# A fault of a fifth of a second may pass between two calls, or between two pages that a full disk has no room for.
ATTEMPTS = 20


@dataclass(slots=True, frozen=True)
class Seen:
    """One call. `off`: how far the server's clock was from ours."""

    asked_at: float
    seconds: float
    error: str
    off: float


def is_seen(kind: str, seen: list[Seen], *, moved: Collection[str], slow: Collection[str]) -> bool:
    """Whether somebody noticed the fault as faults of its kind are: by the clock, by waiting, by an error."""
    if kind in moved:
        return max(abs(call.off) for call in seen) > 60
    if kind in slow:
        return max(call.seconds for call in seen) > 0.1
    return any(call.error for call in seen)


class Caller:
    """Asks on one connection, and on a new one after each error, until the block ends."""

    def __init__(self, connect: Callable[[], Any], ask: Callable[[Any], float]) -> None:
        self._connect, self._ask = connect, ask
        self.seen: list[Seen] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._call, daemon=True)

    def __enter__(self) -> "Caller":
        self._thread.start()
        self.await_answer()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()

    def await_answer(self) -> None:
        """A call that begins from now on is answered."""
        now = time.monotonic()
        await_that(lambda: any(s.asked_at > now and not s.error for s in self.seen[-50:]), what="an answer")

    @contextmanager
    def watch(self) -> Iterator[list[Seen]]:
        """What is seen from before the block until all is well after it."""
        seen: list[Seen] = []
        first = len(self.seen)
        yield seen
        self.await_answer()
        seen += self.seen[first:]

    def _call(self) -> None:
        connection = None
        while not self._ended.wait(0.003):
            asked_at, error, off = time.monotonic(), "", 0.0
            try:
                connection = connection or self._connect()
                off = self._ask(connection) - time.time()
            except Exception as caught:
                with suppress(Exception):
                    connection.close()
                connection, error = None, f"{type(caught).__name__}: {caught}"
            self.seen.append(Seen(asked_at, time.monotonic() - asked_at, error, off))
        with suppress(Exception):
            connection.close()


def redis_caller(url: str) -> Caller:
    """Writes what looks like a run of the accept script, on a connection that is not looked at before its use."""
    value = script_needle(EARLIEST) + b"x" * 2_000  # so that a full disk is met at once

    def ask(client: "Redis") -> float:
        client.set("trial", value)
        seconds, micros = client.time()
        return seconds + micros / 1e6

    return Caller(lambda: plain_redis(url, single_connection_client=True), ask)


def postgres_caller(url: str) -> Caller:
    """Takes an event's row as a batch does, and writes a page."""

    def ask(connection: Any) -> float:
        with connection.cursor() as cursor:
            cursor.execute("select extract(epoch from clock_timestamp()) from events for update")
            ((now,),) = cursor.fetchall()
            cursor.execute(
                "insert into pages select repeat(md5(random()::text), 200) from generate_series(1, 5)"
            )
        connection.commit()
        return float(now)

    return Caller(lambda: plain_postgres(url), ask)


def claim_caller(url: str) -> Caller:
    """Holds a partition's claim."""

    def connect() -> Any:
        connection = plain_postgres(url)
        connection.autocommit = True
        connection.cursor().execute("select pg_advisory_lock(4702, 1)")
        return connection

    def ask(connection: Any) -> float:
        connection.cursor().execute("select 1")
        return time.time()

    return Caller(connect, ask)


def plain_redis(url: str, **options: bool) -> "Redis":
    """A client that never asks twice."""
    return Redis.from_url(
        url, socket_timeout=5, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0), **options
    )


def plain_postgres(url: str) -> Any:
    """A connection to the address that SQLAlchemy would use."""
    return psycopg2.connect(url.replace("+psycopg2", ""), connect_timeout=3)


class Soon(random.Random):
    """The first of every choice and the shortest of every time: a fault of a fifth of a second."""

    def uniform(self, a: float, b: float) -> float:
        return min(a or b, 0.2)

    def choice(self, seq: Any) -> Any:
        return max(seq) if all(isinstance(each, float) for each in seq) else seq[0]

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        return start

    def randint(self, a: int, b: int) -> int:
        return a
