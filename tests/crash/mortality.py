"""Ends this process at a chosen call to Redis or PostgreSQL: before it is sent, or when it has been answered.

Between calls there is nothing to try: a process that is between two of them has changed its own memory, which dies
with it. Inside a call there is nothing either. A script's writes are made by Redis while it does nothing else, and go
into its file as one transaction, which is loaded whole or not at all; what a statement did counts from COMMIT on, and
COMMIT is one record of PostgreSQL's log. A command of which the dying process could send only a part is never run: both
servers read it to its end before they begin. One that was sent and whose answer nobody reads is run all the same, so to
everybody else that is the moment after.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from importlib import resources
from typing import Any, NoReturn

import psycopg2
import psycopg2.extensions
from redis.connection import AbstractConnection, UnixDomainSocketConnection

from shared.line.client import _script

BEFORE, AFTER = "before", "after"
SCRIPTS = {
    f"EVALSHA {_script(name)[1]}": f"EVALSHA {name}"
    for name in (
        path.name.removesuffix(".lua")
        for path in resources.files("shared.line").joinpath("scripts").iterdir()
    )
}


class Death:
    """Counts the calls of the thread that armed it, and of one beside it, and ends the process at the chosen one."""

    def __init__(self, *, at: int, when: str) -> None:
        self._left, self._when = at, when
        self._thread: int | None = None
        self._beside = ""
        self._pid = os.getpid()
        self._due: dict[int, str] = {}  # connection → the call with whose answer the process ends

    def arm(self, *, beside: str = "") -> None:
        """From now on calls count, also those of the thread of this name: it does what the armed one waits for."""
        self._thread, self._beside = threading.get_ident(), beside

    def disarm(self) -> None:
        """Until it is armed again calls do not count."""
        self._thread = None

    def around(self, description: str, call: Callable[[], Any]) -> Any:
        """A call that returns with its answer."""
        chosen = self._is_chosen(description)
        result = call()
        if chosen:
            self.die(description)
        return result

    def around_sending(self, description: str, connection: object, send: Callable[[], Any]) -> Any:
        """A call whose answer `connection` reads later."""
        chosen = self._is_chosen(description)
        result = send()
        if chosen:
            self._due[id(connection)] = description
        return result

    def answered(self, connection: object) -> None:
        """The connection has read an answer."""
        if id(connection) in self._due:
            self.die(self._due[id(connection)])

    def die(self, description: str) -> NoReturn:
        """The kill -9."""
        os.write(1, json.dumps({"at": description}).encode() + b"\n")
        os.kill(self._pid, signal.SIGKILL)
        raise SystemExit  # not reached

    def _is_chosen(self, description: str) -> bool:
        """Counts; ends the process when this is the call and the moment is before it."""
        counts = self._thread == threading.get_ident() or threading.current_thread().name == self._beside
        if self._thread is None or not counts:
            return False
        self._left -= 1
        if self._left == 0 and self._when == BEFORE:
            self.die(description)
        return self._left == 0


def count_calls(death: Death) -> None:
    """Puts `death` around every command to Redis and every statement to PostgreSQL of this process."""
    _count_statements(death)
    send, read = UnixDomainSocketConnection.send_packed_command, AbstractConnection.read_response

    def counting_send(self: UnixDomainSocketConnection, command: Any, *arguments: Any, **options: Any) -> Any:
        return death.around_sending(
            _describe(command), self, lambda: send(self, command, *arguments, **options)
        )

    def counting_read(self: AbstractConnection, *arguments: Any, **options: Any) -> Any:
        try:
            return read(self, *arguments, **options)
        finally:
            death.answered(self)

    UnixDomainSocketConnection.send_packed_command = counting_send  # type: ignore[method-assign]
    AbstractConnection.read_response = counting_read  # type: ignore[method-assign]


def _count_statements(death: Death) -> None:
    class CountingCursor(psycopg2.extensions.cursor):
        def execute(self, query: Any, variables: Any = None) -> None:
            execute = super().execute
            death.around(_first_words(query), lambda: execute(query, variables))

        def executemany(self, query: Any, variables: Any) -> None:
            execute = super().executemany
            death.around(_first_words(query), lambda: execute(query, variables))

    class CountingConnection(psycopg2.extensions.connection):
        def commit(self) -> None:
            death.around("commit", super().commit)

        def rollback(self) -> None:
            death.around("rollback", super().rollback)

    connect = psycopg2.connect

    def counting_connect(*arguments: Any, **options: Any) -> Any:
        factories = {"cursor_factory": CountingCursor, "connection_factory": CountingConnection}
        return death.around("connect", lambda: connect(*arguments, **{**factories, **options}))

    psycopg2.connect = counting_connect


def _first_words(query: Any) -> str:
    statement = query.decode() if isinstance(query, bytes) else str(query)
    return " ".join(statement.split())[:60]


def _describe(command: Any) -> str:
    """A packed command's first words; a script by its name."""
    packed = b"".join(command) if isinstance(command, list) else command
    words = packed[:300].decode(errors="replace").split("\r\n")
    first = " ".join(words[2:5:2])[:60]
    return SCRIPTS.get(first, first)


def serve(live: Callable[[dict[str, Any]], NoReturn]) -> None:
    """Forks a life for every order, a line of stdin, and says how it ended.

    One process has imported everything: a point costs a few hundredths of a second, so that all can be tried.
    """
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            live(order)
        _, status = os.waitpid(pid, 0)
        ending = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        os.write(1, json.dumps({"ending": ending}).encode() + b"\n")
