"""One side of a relayed connection: its socket and what still waits to be sent to it."""

import socket
import struct
from collections import deque
from contextlib import suppress
from typing import Final

# SO_LINGER 0: closing sends a reset, as a crashed host's successor does.
_RESET: Final = struct.pack("ii", 1, 0)


class End:
    """A non-blocking socket with a queue of chunks, each with the instant from which it may be sent."""

    __slots__ = (
        "bytes_waiting",
        "finishing",
        "has_alarm",
        "has_ended",
        "is_blocked",
        "is_client",
        "socket",
        "waiting",
    )

    def __init__(self, sock: socket.socket, *, is_client: bool) -> None:
        self.socket = sock
        self.is_client = is_client
        self.waiting: deque[tuple[float, bytes]] = deque()
        self.bytes_waiting = 0
        self.is_blocked = False  # the kernel takes no more for now
        self.has_alarm = False  # the relay will flush it when the first chunk is due
        self.has_ended = False  # it said that it will send nothing more
        self.finishing = False  # the other side ended: say so once everything went out

    def push(self, data: bytes, due: float) -> None:
        """Queues a chunk; however early it is due, those before it go first."""
        self.waiting.append((due, data))
        self.bytes_waiting += len(data)

    def send_at_once(self, data: bytes) -> None:
        """Sends past an empty queue; queues what the kernel does not take."""
        sent = self._send(data)
        if sent < len(data):
            self.push(data[sent:], 0.0)

    def flush(self, now: float, piece: int | None = None) -> None:
        """Sends what is due, at most `piece` bytes of it; until the kernel takes no more."""
        self.is_blocked = False
        while self.waiting and self.waiting[0][0] <= now and not self.is_blocked:
            due, data = self.waiting.popleft()
            part = data if piece is None else data[:piece]
            sent = self._send(part)
            self.bytes_waiting -= sent
            if sent < len(data):
                self.waiting.appendleft((due, data[sent:]))
            if piece is not None:
                return

    def hasten(self) -> None:
        """Everything that waits may be sent now."""
        self.waiting = deque((0.0, data) for _, data in self.waiting)

    def finish(self) -> None:
        """Tells this side that the other will send nothing more."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def close(self, *, reset: bool) -> None:
        """Closes; with a reset where the protocol has one."""
        if reset and self.is_client:
            with suppress(OSError):
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.socket.close()

    def _send(self, data: bytes) -> int:
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        self.is_blocked = sent < len(data)
        return sent
