"""Drives the line in tests: in this process one batch at a time, or as the real worker process."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

import psycopg2
from psycopg2.errors import UniqueViolation
from redis import Redis
from sqlalchemy import Engine

from shared.line.client import ScriptRunner, make_redis
from shared.services.line_gate import LineGate
from shared.settings import Settings, variable_name
from worker.batch import BatchRunner
from worker.claims import ClaimSession

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent


class LineDriver:
    """A booking worker without its loop: decides when the test says so."""

    def __init__(self, settings: Settings, engine: Engine, name: str = "driver") -> None:
        self.settings, self.name = settings, name
        self.redis: Redis = make_redis(settings.redis_url, socket_timeout=settings.redis_timeout_seconds)
        self.runner = ScriptRunner(self.redis)
        gate = LineGate(settings, engine, self.redis)
        gate.check()
        self.installation = gate.installation()
        self.batches = BatchRunner(settings, self.runner, worker_name=name)
        self.session = open_patient_session(settings, name)

    def claim(self, *partitions: int) -> list[int]:
        """Claims and fences the partitions (all of them when none is named) that are free."""
        claimed = self.session.claim(partitions or range(self.settings.partitions))
        self.fence()
        return claimed

    def fence(self) -> None:
        """Writes a new token for every held partition, as a worker does that finds its old one gone."""
        for partition in list(self.session.held):
            self.session.fence(self.runner, self.installation, partition)

    def decide(self, partition: int) -> int | str:
        """One transaction's worth of a held partition."""
        claim = self.session.held[partition]
        assert claim is not None
        return self.batches.run_once(self.session, claim)

    def decide_all(self) -> int:
        """Everything that waits in the held partitions; returns how many requests were decided."""
        self.claim()
        decided = 0
        for partition in sorted(self.session.held):
            while isinstance(done := self._decide_again(partition), int):
                decided += done
        return decided

    def _decide_again(self, partition: int) -> int | str:
        """What the worker's loop does when a request turns out to be decided already: look again."""
        try:
            return self.decide(partition)
        except UniqueViolation:
            self.session.rollback()
            return self.decide(partition)

    def close(self) -> None:
        """Lets go."""
        self.session.close()
        self.redis.close()


def open_patient_session(settings: Settings, name: str) -> ClaimSession:
    """A claim session that PostgreSQL lets be silent: a worker pings, a test on a busy machine does not."""

    def open_one() -> ClaimSession | None:
        session = ClaimSession(settings.database_url, name)
        try:
            session.cursor.execute(
                "set idle_session_timeout = 0; set idle_in_transaction_session_timeout = 0"
            )
        except psycopg2.OperationalError:  # it was silent for too long before it had said so
            session.close()
            return None
        return session

    return await_that(open_one, what="a session that may be silent")


def await_that(condition: Callable[[], T], *, seconds: float = 60.0, what: str = "the condition") -> T:
    """Waits until `condition` gives something true, and returns it."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.01)


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment in which a process reads exactly these settings."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    own = {
        variable_name(field.name): str(value)
        for field in fields(Settings)
        if (value := getattr(settings, field.name)) != ""
    }
    return {**inherited, **own, "PYTHONPATH": str(ROOT)}


@contextlib.contextmanager
def worker_process(
    settings: Settings, *arguments: str, log: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m worker bookings` (or what `arguments` say) as a process of its own, ended with the block."""
    with contextlib.ExitStack() as stack:
        output = subprocess.DEVNULL if log is None else stack.enter_context(log.open("ab"))
        process = subprocess.Popen(
            [sys.executable, *(arguments or ("-m", "worker", "bookings"))],
            env=environment_of(settings),
            cwd=ROOT,
            stdout=output,
            stderr=output,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
