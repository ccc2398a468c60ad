"""A booking worker that kills itself at a chosen call. Run by tests; every line on stdin is a life.

One process imports everything and forks for every life: a kill point costs a tenth of a second, so that all of
them can be tried.
"""

import faulthandler
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

import psycopg2
import psycopg2.extensions
from redis.connection import UnixDomainSocketConnection

import worker.batch
from shared.domain import allocation, waitlist
from shared.line.client import _script
from shared.line.inspect import count_undecided
from shared.settings import Settings, load_settings
from worker.batch import BatchRunner
from worker.booking_worker import BookingWorker
from worker.compose import make_booking_worker

LIFE_SECONDS = 15.0
SURVIVED, TOO_LONG = 0, 9


class Death:
    """Counts calls to either server and ends the process at the chosen one, `before` or `after` it is sent."""

    def __init__(self, *, at: int, when: str, batches_only: bool) -> None:
        self._left, self._when, self._armed = at, when, not batches_only
        self._pid = os.getpid()

    def arm(self) -> None:
        """From now on calls count."""
        self._armed = True

    def around(self, description: str, send: Callable[[], Any]) -> Any:
        """One call."""
        chosen = False
        if self._armed:
            self._left -= 1
            chosen = self._left == 0
        if chosen and self._when == "before":
            self.die(description)
        result = send()
        if chosen:
            self.die(description)
        return result

    def die(self, description: str) -> NoReturn:
        """The kill -9."""
        os.write(1, json.dumps({"at": description}).encode() + b"\n")
        os.kill(self._pid, signal.SIGKILL)
        raise SystemExit  # not reached


def describe(command: Any) -> str:
    """A packed command's first words; a script by its name."""
    words = (
        (b"".join(command) if isinstance(command, list) else command).decode(errors="replace").split("\r\n")
    )
    first = " ".join(words[2:5:2])[:60]
    return SCRIPTS.get(first, first)


SCRIPTS = {f"EVALSHA {_script(name)[1]}": f"EVALSHA {name}" for name in ("claim", "take", "alone", "reply")}


def count_calls(death: Death) -> None:
    """Puts `death` around every command to Redis and every statement to PostgreSQL of this process."""

    class CountingCursor(psycopg2.extensions.cursor):
        def execute(self, query: Any, variables: Any = None) -> None:
            statement = query.decode() if isinstance(query, bytes) else str(query)
            death.around(
                " ".join(statement.split())[:60],
                lambda: super(CountingCursor, self).execute(query, variables),
            )

    connect, send = psycopg2.connect, UnixDomainSocketConnection.send_packed_command

    def counting_connect(*arguments: Any, **options: Any) -> Any:
        return connect(*arguments, **{"cursor_factory": CountingCursor, **options})

    def counting_send(self: UnixDomainSocketConnection, command: Any, *arguments: Any, **options: Any) -> Any:
        return death.around(describe(command), lambda: send(self, command, *arguments, **options))

    psycopg2.connect = counting_connect
    UnixDomainSocketConnection.send_packed_command = counting_send  # type: ignore[method-assign]


def arm_in_batches(death: Death) -> None:
    """Calls count from the first batch on, not while the worker gets ready."""
    run_once = BatchRunner.run_once

    def armed(self: BatchRunner, *arguments: Any) -> Any:
        death.arm()
        return run_once(self, *arguments)

    BatchRunner.run_once = armed  # type: ignore[method-assign]


def die_of_user(death: Death, user_id: int) -> None:
    """This user's booking kills the process: as a crash in a C library would."""
    judge_book = allocation.judge_book

    def deadly(snapshot: Any, event: Any, request: Any, now: Any) -> Any:
        if request.user_id == user_id:
            death.die(f"user {user_id}")
        return judge_book(snapshot, event, request, now)

    allocation.judge_book = deadly


def live(settings: Settings, order: dict[str, Any]) -> NoReturn:
    """One life: until the line is empty, or the chosen call."""
    faulthandler.dump_traceback_later(LIFE_SECONDS + 15, exit=True)  # a life that hangs says where
    death = Death(
        at=order.get("at", 0), when=order.get("when", "before"), batches_only=order.get("batches_only", False)
    )
    count_calls(death)
    if order.get("batches_only"):
        arm_in_batches(death)
    if "user" in order:
        die_of_user(death, order["user"])
    waitlist.OFFERS_MAX = order.get("offers_max", waitlist.OFFERS_MAX)  # type: ignore[misc]
    worker.batch.SLICE_SIZE = order.get("slice_size", worker.batch.SLICE_SIZE)
    booking_worker = make_booking_worker(settings, "mortal", os.getpid())
    deadline = time.monotonic() + LIFE_SECONDS
    while time.monotonic() < deadline:
        booking_worker.run_once()
        if is_done(booking_worker, settings):
            booking_worker._let_go()
            os._exit(SURVIVED)
    os._exit(TOO_LONG)


def is_done(booking_worker: BookingWorker, settings: Settings) -> bool:
    """Nothing waits and nothing is in flight."""
    return not any(count_undecided(booking_worker._runner, range(settings.partitions)).values())


def main() -> None:
    """Forks a life for every order, and says how it ended."""
    settings = load_settings(os.environ)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            live(settings, order)
        _, status = os.waitpid(pid, 0)
        ending = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        os.write(1, json.dumps({"ending": ending}).encode() + b"\n")


if __name__ == "__main__":
    main()
