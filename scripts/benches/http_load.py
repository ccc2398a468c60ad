"""A lean load generator: one process, epoll, raw sockets, prepared requests; some 15 µs of CPU a request.

It knows just enough HTTP for the servers of a bench: keep-alive, one request at a time a connection, answers
with a Content-Length, or a 304.

Closed loop: a connection sends its next request when the one before is answered. Open loop (`due`): requests come when
they come, however slow the answers are, and a latency counts from the instant at which its request was due. So a server
that stands still is not spared those who would have come meanwhile.
"""

import re
import select
import socket
import time
from array import array
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

_READ_BYTES: Final = 65_536
_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"Content-Length: "
_NOT_MODIFIED: Final = b"HTTP/1.1 304"
_SILENCE_SECONDS: Final = 60.0
# Where a poll names the job that its request is told of.
JOB_PLACE: Final = b"{job_id}"
_JOB_ID: Final = re.compile(rb'"job_id":"([0-9a-f-]{36})"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to send: `requests` in this order over `connections`, with `pause_seconds` before each.

    `due`, where given, makes it an open loop: seconds after the start, ascending, one a request; `connections` are then
    how many may wait for an answer at once. `polls`, where given, has for each request another one, with JOB_PLACE in
    it, that is sent on the same connection as soon as the job's id is known.
    """

    port: int
    connections: int
    requests: Sequence[bytes]
    pause_seconds: float = 0.0
    due: Sequence[float] = ()
    polls: Sequence[bytes] = ()


@dataclass(slots=True)
class Outcome:
    """What happened: status → count, latencies in seconds, instants by the wall clock, the client's CPU.

    `lateness` is how many seconds after its due time each request of an open loop was sent: the client's own fault, or
    that of a server who kept all connections waiting. It is part of the latencies. `latencies` and `rate` leave out the
    polls; `last_accept_at` is when the last request that is no poll was answered.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    latencies: "array[float]" = field(default_factory=lambda: array("d"))
    poll_latencies: "array[float]" = field(default_factory=lambda: array("d"))
    lateness: "array[float]" = field(default_factory=lambda: array("d"))
    first_sent_at: float = 0.0
    last_accept_at: float = 0.0
    last_answer_at: float = 0.0
    cpu_seconds: float = 0.0
    refusal: bytes = b""  # one answer that was neither 2xx, 304 nor 503, to show

    @property
    def seconds(self) -> float:
        """From the first request to the last answer."""
        return self.last_answer_at - self.first_sent_at

    @property
    def accepted(self) -> int:
        """How many requests the line took."""
        return self.statuses[202]

    @property
    def busy(self) -> int:
        """How often the server said that it has too much to do: 503, nothing done."""
        return self.statuses[503]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    @property
    def cpu_share(self) -> float:
        """The part of one core that the client used."""
        return self.cpu_seconds / self.seconds


def busiest(outcomes: Sequence[Outcome]) -> float:
    """The part of a core that the load used in the round in which it used most."""
    return max(outcome.cpu_share for outcome in outcomes)


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


def run(plan: Plan) -> Outcome:
    """Sends everything and returns when everything is answered. Raises OSError when a connection breaks."""
    load = _Load(plan)
    try:
        return load.run()
    finally:
        load.close()


class _Load:
    """One run: the connections that are free, and whose turn it is."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._outcome = plan, Outcome()
        self._epoll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        for _ in range(min(plan.connections, len(plan.requests))):
            connection = _Connection(plan.port)
            self._connections[connection.number] = connection
            self._epoll.register(connection.number, select.EPOLLIN)
        # Whoever waited longest is next, so that every process of the server gets its share.
        self._free = deque(self._connections.values())
        self._next = 0
        self._started = 0.0

    def run(self) -> Outcome:
        outcome, total = self._outcome, len(self._plan.requests)
        send_all = self._send_due if self._plan.due else self._send_all
        cpu = time.process_time()
        outcome.first_sent_at, self._started = time.time(), time.perf_counter()
        while self._next < total or len(self._free) < len(self._connections):
            send_all()
            for number in self._wait():
                self._receive(self._connections[number])
        outcome.last_answer_at = time.time()
        outcome.cpu_seconds = time.process_time() - cpu
        return outcome

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._epoll.close()

    def _send_all(self) -> None:
        """Every free connection sends."""
        plan = self._plan
        while self._free and self._next < len(plan.requests):
            if plan.pause_seconds:
                time.sleep(plan.pause_seconds)
            self._send(time.perf_counter())

    def _send_due(self) -> None:
        """What is due goes out while there is a free connection."""
        due = self._plan.due
        while self._free and self._next < len(due):
            due_at, now = self._started + due[self._next], time.perf_counter()
            if due_at > now:
                return
            self._outcome.lateness.append(now - due_at)
            self._send(due_at)

    def _send(self, counts_from: float) -> None:
        connection = self._free.popleft()
        connection.poll = self._plan.polls[self._next] if self._plan.polls else b""
        connection.send(self._plan.requests[self._next], counts_from)
        self._next += 1

    def _wait(self) -> list[int]:
        """Numbers of the connections on which something came, or none because a request is due."""
        due = self._plan.due
        if due and self._free and self._next < len(due):
            patience = self._started + due[self._next] - time.perf_counter()
            # epoll's own time-outs are whole milliseconds; select's are not.
            if not select.select([self._epoll], [], [], max(0.0, patience))[0]:
                return []
        ready = self._epoll.poll(_SILENCE_SECONDS)
        if not ready:
            raise TimeoutError(f"no answer for {_SILENCE_SECONDS:.0f} s")
        return [number for number, _ in ready]

    def _receive(self, connection: "_Connection") -> None:
        answer = connection.receive()
        if answer is None:
            return
        outcome, now = self._outcome, time.perf_counter()
        status = int(answer[9:12])
        outcome.statuses[status] += 1
        if status >= 300 and status not in (304, 503) and not outcome.refusal:
            outcome.refusal = answer
        (outcome.poll_latencies if connection.is_polling else outcome.latencies).append(
            now - connection.counts_from
        )
        if not connection.is_polling:
            outcome.last_accept_at = time.time()
            found = _JOB_ID.search(answer) if connection.poll else None
            if found is not None:
                connection.send(connection.poll.replace(JOB_PLACE, found[1], 1), now, is_polling=True)
                return
        self._free.append(connection)


class _Connection:
    """One keep-alive connection and the answer it is reading."""

    __slots__ = ("_buffer", "_recv", "_send", "_socket", "counts_from", "is_polling", "number", "poll")

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._recv, self._send = self._socket.recv, self._socket.send
        self._buffer = b""
        self.poll = b""
        self.counts_from = 0.0
        self.is_polling = False
        self.number = self._socket.fileno()

    def send(self, request: bytes, counts_from: float, *, is_polling: bool = False) -> None:
        self.counts_from, self.is_polling = counts_from, is_polling
        if self._send(request) != len(request):
            raise OSError("a request did not fit into the socket")

    def receive(self) -> bytes | None:
        """Reads what is there; the answer when it is complete."""
        data = self._recv(_READ_BYTES)
        if not data:
            raise ConnectionError("the server closed the connection")
        if self._buffer:
            data = self._buffer + data
        head = data.find(_HEAD_END)
        length = data.find(_LENGTH, 0, head)
        if head >= 0 and (length >= 0 or data.startswith(_NOT_MODIFIED)):
            size = 0 if length < 0 else int(data[length + len(_LENGTH) : data.index(b"\r", length)])
            if len(data) >= head + len(_HEAD_END) + size:
                self._buffer = b""
                return data
        self._buffer = data
        return None

    def close(self) -> None:
        self._socket.close()
