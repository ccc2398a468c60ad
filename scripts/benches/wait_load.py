"""Thousands who wait, in one process: epoll and raw sockets, some 20 µs of CPU for each that is told."""

import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Final

from scripts.benches.processes import BenchError

_READ_BYTES: Final = 65_536
_SILENCE_SECONDS: Final = 60.0
_ANSWER_SECONDS: Final = 120.0
_HEAD_END: Final = b"\r\n\r\n"
_EVENT_END: Final = b"\n\n"
_OK: Final = b"HTTP/1.1 200 "
_EVENT: Final = b"event: "
_DECIDED: Final = b"event: decided\n"
_UNDECIDED: Final = b'"status":"queued"'
# What fits into gunicorn's backlog with room to spare: beyond it the kernel makes clients wait a second.
_CONNECT_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """Who waits for `job`: by a stream when `streams`, else by a long-poll, repeated when it ends undecided."""

    job: str
    request: bytes
    streams: bool


@dataclass(slots=True)
class Told:
    """When each job's client learned its decision, by the wall clock, and the client's CPU since all of them wait."""

    at: dict[str, float] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    events: int = 0  # places told in between


@contextmanager
def crowd(port: int, followers: list[Follower]) -> Iterator[Callable[[], Told | None]]:
    """`follow` in a process of its own; what is given waits for what it says next. Raises BenchError when it has
    ended or says nothing.
    """
    ours, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=follow, args=(theirs, port, followers), daemon=True)

    def hear() -> Told | None:
        deadline = time.monotonic() + _ANSWER_SECONDS
        while not ours.poll(0.1):
            if not process.is_alive() or time.monotonic() > deadline:
                raise BenchError("those who wait have given up")
        said: Told | None = ours.recv()
        return said

    process.start()
    try:
        yield hear
        process.join(_ANSWER_SECONDS)
    finally:
        process.kill()
        process.join()


def follow(pipe: Connection, port: int, followers: Sequence[Follower]) -> None:
    """Sends None through the pipe once everybody has asked and every stream has begun, and a Told once everybody has
    been told. Raises OSError for an answer that is none.
    """
    crowd = _Crowd(port)
    for start in range(0, len(followers), _CONNECT_AT_ONCE):
        crowd.join(followers[start : start + _CONNECT_AT_ONCE])
        crowd.run(until=lambda: not crowd.unheard)
    pipe.send(None)
    cpu = time.process_time()
    crowd.run(until=lambda: not crowd.waiting)
    crowd.told.cpu_seconds = time.process_time() - cpu
    pipe.send(crowd.told)


class _Crowd:
    """Everybody's connection and what came over it so far."""

    def __init__(self, port: int) -> None:
        self.told = Told()
        self.waiting: dict[int, tuple[Follower, socket.socket]] = {}
        self.unheard: set[int] = set()  # streams that have not begun
        self._heard: dict[int, bytes] = {}
        self._port = port
        self._poll = select.epoll()

    def join(self, followers: Sequence[Follower]) -> None:
        for follower in followers:
            connection = socket.create_connection(("127.0.0.1", self._port), timeout=10)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(follower.request)
            connection.setblocking(False)
            number = connection.fileno()
            self.waiting[number] = follower, connection
            self._heard[number] = b""
            if follower.streams:
                self.unheard.add(number)
            self._poll.register(number, select.EPOLLIN)

    def run(self, *, until: Callable[[], bool]) -> None:
        while not until():
            ready = self._poll.poll(_SILENCE_SECONDS)
            if not ready:
                raise TimeoutError(f"nothing heard for {_SILENCE_SECONDS:.0f} s")
            for number, _ in ready:
                self._hear(number)

    def _hear(self, number: int) -> None:
        follower, connection = self.waiting[number]
        heard = self._heard[number] = self._heard[number] + connection.recv(_READ_BYTES)
        at = time.time()
        if not heard.startswith(_OK):
            raise ConnectionError(f"instead of a status: {heard!r}")
        if follower.streams:
            has_begun = number not in self.unheard
            if _EVENT in heard:
                self.unheard.discard(number)
            if _DECIDED in heard:
                self._end(number, at)
            elif heard.endswith((_EVENT_END, _HEAD_END)):
                self.told.events += heard.count(_EVENT) if has_begun else 0
                self._heard[number] = _OK
        elif _is_whole(heard):
            if _UNDECIDED not in heard:
                self._end(number, at)
                return
            self._heard[number] = b""
            connection.sendall(follower.request)

    def _end(self, number: int, at: float) -> None:
        follower, connection = self.waiting.pop(number)
        self.told.at[follower.job] = at
        self._poll.unregister(number)
        connection.close()


def _is_whole(heard: bytes) -> bool:
    head = heard.find(_HEAD_END)
    length = heard.find(b"Content-Length: ", 0, head)
    if head < 0 or length < 0:
        return False
    return len(heard) >= head + len(_HEAD_END) + int(heard[length + 16 : heard.index(b"\r", length)])
