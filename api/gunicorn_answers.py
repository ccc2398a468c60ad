"""gunicorn's own answer, sent in one piece: the head leaves with the first bytes of the body.

Two sends wake the client twice, the first time for a head that it can do nothing with. The framing, the rules for
answers without a body, and the judgement of every field that is not plainly fine are gunicorn's; where the bytes leave
is ours. And that a stream of events ends with its connection, and how somebody else sends a piece of an answer.
"""

import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from gunicorn.http.message import TOKEN_RE
from gunicorn.http.wsgi import Response
from gunicorn.util import is_hoppish

# The application has some thirty.
_NAMES_MAX: Final = 256
_EVENTS: Final = ("Content-Type", "text/event-stream")
# In the environ: that what `start_response` returns is `offer`.
OFFERS: Final = "guichet.offers"


class Answer(Response):
    """One answer on its way to a client."""

    headers_sent: bool  # gunicorn's: whether an error must not be answered any more
    # What is to leave with the next bytes of the body.
    _head = b""
    # Whether a piece waits until the client has taken those before.
    _is_behind = False
    _is_offer = False

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], None]:  # noqa: ANN401 - gunicorn has no types
        """Begins the answer. What it gives is `offer`."""
        super().start_response(status, headers, exc_info)
        return self.offer

    def offer(self, data: bytes) -> None:
        """Sends a piece now, or never: whoever calls has others to send to. A client that has left so much unread that
        the kernel takes no more is cut off, and comes again if it wants to. Raises OSError then, and when it has gone.
        """
        self._is_offer = True
        try:
            self.write(data)
        except BlockingIOError:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
            raise
        finally:
            self._is_offer = False

    def process_headers(self, headers: Iterable[tuple[str, str]]) -> None:
        """Keeps the fields that may be sent. Raises gunicorn's errors for those that could end the head before its end.

        A name that was looked at before and a value of printable ASCII are fine; the others gunicorn judges.
        """
        for field in headers:
            name, value = field
            if _is_plain(name) and type(value) is str and value.isascii() and value.isprintable():
                self.headers.append((name, value.strip(" ")))
            else:
                super().process_headers((field,))

    def is_chunked(self) -> bool:
        """Whether the body comes in chunks, the last of which says that it is the last. Not a stream of events: its own
        last one says so, and who has heard it asks for nothing more. Without chunks the connection is closed then,
        which saves a packet, and nothing is kept for it until the client leaves.
        """
        return super().is_chunked() and _EVENTS not in self.headers

    def write(self, arg: bytes) -> None:
        """Sends a piece of the body at once, the first together with the head. Raises OSError when the client has
        gone, TypeError for what is no bytes.
        """
        if arg and not self.headers_sent:
            self._head = self._make_head()
            self.headers_sent = True
        super().write(arg)
        if self._head:  # nothing of the piece may be sent: HEAD, 304, or more than the Content-Length
            self._send(b"")

    def send_headers(self) -> None:
        """Sends the head alone, if it was not sent: before a file, and when there is no body."""
        if not self.headers_sent:
            self._head = self._make_head()
            self.headers_sent = True
            self._send(b"")

    def _make_head(self) -> bytes:
        fields = [f"{name}: {value}\r\n" for name, value in self.headers]
        return "".join([*self.default_headers(), *fields, "\r\n"]).encode("latin-1")

    def _emit_body(self, data: bytes) -> None:
        """Where gunicorn lets a response put its body on the wire."""
        self._send(b"%X\r\n%b\r\n" % (len(data), data) if self.chunked else data)

    def _send(self, data: bytes) -> None:
        data, self._head = self._head + data, b""
        # gevent's `sendall` first asks the kernel for the size of its buffer, which short answers need not know.
        sent = 0 if self._is_behind else self._send_now(data)
        if sent < len(data):
            if self._is_offer:
                raise BlockingIOError("the client has not read what it was sent")
            self._is_behind = True
            self.sock.sendall(memoryview(data)[sent:])
            self._is_behind = False

    def _send_now(self, data: bytes) -> int:
        """How many of the bytes the kernel took."""
        try:
            sent: int = self.sock.send(data, 0, 0.0)  # gevent's third is how long to wait
        except BlockingIOError:
            return 0
        return sent


@lru_cache(maxsize=_NAMES_MAX)
def _is_plain(name: str) -> bool:
    """It is a token, and says nothing of the connection or of the body's length."""
    return bool(TOKEN_RE.fullmatch(name)) and name.lower() != "content-length" and not is_hoppish(name)
