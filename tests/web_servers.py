"""A real gunicorn, as the Procfile starts it, and raw bytes sent to it."""

import contextlib
import http.client
import io
import signal
import socket
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import psutil

from shared.settings import Settings
from tests.lines import await_that, worker_process


@contextlib.contextmanager
def gunicorn(
    settings: Settings,
    log: Path,
    *,
    processes: int = 1,
    application: str = "api.wsgi:app",
    options: Sequence[str] = (),
) -> Iterator[int]:
    """Its port, once it answers; ended with the block."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serving = replace(settings, port=port, web_processes=processes)
    arguments = ("-m", "gunicorn", "--config", "api/gunicorn_conf.py", *options, application)
    with worker_process(serving, *arguments, log=log) as process:
        await_that(lambda: _answers(port), what="gunicorn")
        yield port
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _answers(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def serving(connection: socket.socket) -> psutil.Process:
    """The process at the other end."""
    ours, theirs = connection.getsockname()[1], connection.getpeername()[1]
    for process in psutil.Process().children(recursive=True):
        for found in process.net_connections("tcp"):
            if found.raddr and found.laddr.port == theirs and found.raddr.port == ours:
                return process
    raise AssertionError("nobody serves this connection")


class RawAnswer:
    """What a server sent back: status, headers by lower-case name, body."""

    def __init__(self, received: bytes) -> None:
        answer = http.client.HTTPResponse(_Received(received))  # type: ignore[arg-type]
        answer.begin()
        self.status = answer.status
        self.headers = {name.lower(): value for name, value in answer.getheaders()}
        self.body = answer.read()


class _Received:
    def __init__(self, received: bytes) -> None:
        self._received = received

    def makefile(self, *_arguments: object) -> io.BytesIO:
        return io.BytesIO(self._received)


def send_raw(port: int, message: bytes, *, ends: bool = True) -> RawAnswer:
    """The first answer to these bytes; with `ends` the server reads that nothing more comes."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(message)
        if ends:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(65_536):
            received += piece
    return RawAnswer(received)
