"""A lean load generator: one process, epoll, raw sockets, prepared requests; some 15 µs of CPU a request.

It knows just enough HTTP for the servers of a bench: keep-alive, one request at a time a connection, answers
with a Content-Length.
"""

import select
import socket
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Final

_READ_BYTES: Final = 65_536
_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"Content-Length: "
_SILENCE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to send: `requests` in this order over `connections`, with `pause_seconds` before each."""

    port: int
    connections: int
    requests: Sequence[bytes]
    pause_seconds: float = 0.0


@dataclass(slots=True)
class Outcome:
    """What happened: status → count, latencies in seconds, instants by the wall clock, the client's CPU."""

    statuses: Counter[int] = field(default_factory=Counter)
    latencies: "array[float]" = field(default_factory=lambda: array("d"))
    first_sent_at: float = 0.0
    last_answer_at: float = 0.0
    cpu_seconds: float = 0.0
    refusal: bytes = b""  # one answer that was not 2xx, to show

    @property
    def seconds(self) -> float:
        """From the first request to the last answer."""
        return self.last_answer_at - self.first_sent_at

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    @property
    def cpu_share(self) -> float:
        """The part of one core that the client used."""
        return self.cpu_seconds / self.seconds


def post_request(port: int, path: str, *, token: str, key: str, body: bytes, prefer: str = "") -> bytes:
    """The bytes of a booking request."""
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        f"Authorization: Bearer {token}",
        f"Idempotency-Key: {key}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    if prefer:
        lines.append(f"Prefer: {prefer}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def get_request(port: int, path: str, *headers: str) -> bytes:
    """The bytes of the plainest request there is, and these header lines."""
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers, "", ""]).encode()


def run_apart(plan: Plan) -> Outcome:
    """`run` in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(run, plan).result()


def run(plan: Plan) -> Outcome:
    """Sends everything and returns when everything is answered. Raises OSError when a connection breaks."""
    connections = [_Connection(plan.port) for _ in range(min(plan.connections, len(plan.requests)))]
    poll = select.epoll()
    by_number = {}
    for connection in connections:
        poll.register(connection.number, select.EPOLLIN)
        by_number[connection.number] = connection
    outcome = Outcome()
    waiting = iter(plan.requests)
    cpu = time.process_time()
    outcome.first_sent_at = time.time()
    for connection in connections:
        connection.send(next(waiting))
    open_answers = len(connections)
    while open_answers:
        ready = poll.poll(_SILENCE_SECONDS)
        if not ready:
            raise TimeoutError(f"no answer for {_SILENCE_SECONDS:.0f} s")
        for number, _ in ready:
            connection = by_number[number]
            if not connection.receive(outcome):
                continue
            request = next(waiting, None)
            if request is None:
                open_answers -= 1
                continue
            if plan.pause_seconds:
                time.sleep(plan.pause_seconds)
            connection.send(request)
    outcome.last_answer_at = time.time()
    outcome.cpu_seconds = time.process_time() - cpu
    for connection in connections:
        connection.close()
    poll.close()
    return outcome


class _Connection:
    """One keep-alive connection and the answer it is reading."""

    __slots__ = ("_buffer", "_recv", "_send", "_sent_at", "_socket", "number")

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._recv, self._send = self._socket.recv, self._socket.send
        self._buffer = b""
        self._sent_at = 0.0
        self.number = self._socket.fileno()

    def send(self, request: bytes) -> None:
        self._sent_at = time.perf_counter()
        if self._send(request) != len(request):
            raise OSError("a request did not fit into the socket")

    def receive(self, outcome: Outcome) -> bool:
        """Reads what is there; True when the answer is complete and noted."""
        data = self._recv(_READ_BYTES)
        if not data:
            raise ConnectionError("the server closed the connection")
        if self._buffer:
            data = self._buffer + data
        head = data.find(_HEAD_END)
        length = data.find(_LENGTH, 0, head)
        if head < 0 or length < 0:
            self._buffer = data
            return False
        size = int(data[length + len(_LENGTH) : data.index(b"\r", length)])
        if len(data) < head + len(_HEAD_END) + size:
            self._buffer = data
            return False
        outcome.latencies.append(time.perf_counter() - self._sent_at)
        status = int(data[9:12])
        outcome.statuses[status] += 1
        if status >= 300 and not outcome.refusal:
            outcome.refusal = data
        self._buffer = b""
        return True

    def close(self) -> None:
        self._socket.close()
