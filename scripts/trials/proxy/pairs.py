"""A relayed connection: two ends, and what passes between them."""

import selectors
import time
from typing import TYPE_CHECKING, Final

from scripts.trials.proxy.ends import End
from scripts.trials.proxy.snares import Hit, Then

if TYPE_CHECKING:
    from scripts.trials.proxy.relay import Relay

_CHUNK_BYTES: Final = 65_536
_WAITING_BYTES_MAX: Final = (
    1_048_576  # then its source is read no further: a proxy must not grow without bound
)


class Pair:
    """A client's connection and the server's; `plain` means that bytes go straight through."""

    def __init__(self, relay: "Relay", client: End, server: End) -> None:
        self.relay, self.client, self.server = relay, client, server
        self.plain = True
        self.frozen = False
        self.breaks = False  # at its next chunk, in the middle of it
        self.reply_goes: Then | None = None  # the next reply is swallowed, and then?
        self.hung = False  # nothing passes any more, and nobody is told
        self.caught_by = ""  # the snare that closed on it
        self._tail = b""
        self._masks = {client: 0, server: 0}
        self.closed = False

    def settle(self) -> None:
        """Looks again at what is asked of the connection, after anything about it has changed."""
        weather = self.relay.weather
        special = self.breaks or self.reply_goes or self.hung
        self.plain = not (special or weather.is_rough)
        self._watch()

    def ready(self, end: End, mask: int) -> None:
        """Its socket can be read or written."""
        try:
            if mask & selectors.EVENT_READ:
                self._read(end)
            if mask & selectors.EVENT_WRITE and not self.closed:
                self.flush(end)
        except OSError:  # one side is gone: so must be the other
            self.cut()

    def flush(self, end: End) -> None:
        """Sends to one side what is due."""
        if self.frozen or self.closed:
            return
        end.flush(time.monotonic(), self.relay.weather.piece(end.bytes_waiting))
        if end.waiting and not (end.is_blocked or end.has_alarm):
            end.has_alarm = True
            self.relay.call_at(max(end.waiting[0][0], self.relay.weather.next_piece_at()), self, end)
        self._end_if_finished(end)

    def alarm(self, end: End) -> None:
        """The time that something waited for has come."""
        end.has_alarm = False
        try:
            self.flush(end)
        except OSError:
            self.cut()

    def heal(self) -> None:
        """What waited goes on; what hangs for good is cut."""
        if self.hung or self.reply_goes:
            self.cut()
            return
        self.frozen = self.breaks = False
        self.settle()
        for end in (self.client, self.server):
            end.hasten()
            self.alarm(end)

    def cut(self) -> None:
        """Ends both sides at once."""
        self._close(reset=True)

    def _read(self, end: End) -> None:
        try:
            data = end.socket.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return
        other = self.server if end is self.client else self.client
        if not data:
            self._source_ended(end, other)
        elif self.plain and not other.waiting:
            self.relay.chunks += 1
            other.send_at_once(data)
            if other.is_blocked:
                self._watch()
        else:
            self.relay.chunks += 1
            self._pass(end, other, data)

    def _pass(self, end: End, other: End, data: bytes) -> None:
        """The way of a chunk while something is wrong."""
        if self.hung:
            return
        if self.reply_goes is not None and end is self.server:
            self._swallow()
        elif self.breaks:
            self._break(other, data)
        elif end is self.client and (hit := self._find(data)) is not None:
            self._spring(hit, data)
        else:
            self._queue(other, data)

    def _queue(self, other: End, data: bytes) -> None:
        other.push(data, self.relay.weather.due(time.monotonic()))
        self.flush(other)
        self._watch()

    def _find(self, data: bytes) -> Hit | None:
        snares = self.relay.weather.snares
        hit = snares.find(self._tail, data, self.client.socket.getpeername()[1])
        self._tail = b"" if hit else snares.tail(self._tail, data)
        return hit

    def _spring(self, hit: Hit, data: bytes) -> None:
        self.caught_by = hit.snare.name
        if hit.snare.drops == "reply":
            self.reply_goes = hit.snare.then
            self._queue(self.server, data)
        elif hit.snare.then == "hang":
            self.hung = True
        else:
            self._hand_over(self.server, data[: hit.passed])
        self.relay.settle()

    def _swallow(self) -> None:
        self.hung = True
        if self.reply_goes == "cut":
            self.cut()

    def _break(self, other: End, data: bytes) -> None:
        self._hand_over(other, data[: max(1, len(data) // 2)])

    def _hand_over(self, other: End, part: bytes) -> None:
        """Sends the beginning of a message and ends the connection."""
        other.push(part, 0.0)
        other.hasten()
        other.flush(time.monotonic())
        self._close(reset=other is self.server)  # a reset would take back what the client was just sent

    def _source_ended(self, end: End, other: End) -> None:
        end.has_ended = True
        if not self.hung:
            other.finishing = True
            self._end_if_finished(other)
        elif end is self.server:
            self.cut()
        if not self.closed:
            self._watch()

    def _end_if_finished(self, end: End) -> None:
        if end.finishing and not end.waiting:
            end.finishing = False
            end.finish()
        both_ended = self.client.has_ended and self.server.has_ended
        if both_ended and not self.client.waiting and not self.server.waiting:
            self._close(reset=False)
        else:
            self._watch()

    def _close(self, *, reset: bool) -> None:
        if self.closed:
            return
        self.closed = True
        for end in (self.client, self.server):
            self._listen(end, 0)
            end.close(reset=reset)
        self.relay.pairs.discard(self)

    def _watch(self) -> None:
        if self.closed:
            return
        for end, other in ((self.client, self.server), (self.server, self.client)):
            reads = not (end.has_ended or self.frozen) and other.bytes_waiting < _WAITING_BYTES_MAX
            writes = end.is_blocked and not self.frozen
            self._listen(end, reads * selectors.EVENT_READ | writes * selectors.EVENT_WRITE)

    def _listen(self, end: End, mask: int) -> None:
        before = self._masks[end]
        if mask == before:
            return
        self._masks[end] = mask
        selector = self.relay.selector
        if not mask:
            selector.unregister(end.socket)
        elif before:
            selector.modify(end.socket, mask, (self, end))
        else:
            selector.register(end.socket, mask, (self, end))
