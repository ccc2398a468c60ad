"""The proxy's listening socket, which can be shut in three ways."""

import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal

from scripts.trials.proxy.ends import End

# refused: as if nobody listened. closed: accepted and ended at once. ignored: nobody answers.
Shut = Literal["refused", "closed", "ignored"]
_BACKLOG: Final = 1024


class Door:
    """Hands accepted sockets over while it is open."""

    def __init__(
        self, selector: selectors.BaseSelector, port: int, accept: Callable[[socket.socket], None]
    ) -> None:
        self._selector = selector
        self._hand_over = accept
        self._shut: Shut | None = None
        self._socket = _bind(port)
        self.port: int = self._socket.getsockname()[1]
        self._listen()

    def shut(self, how: Shut) -> None:
        """New connections fail from now on."""
        self.open()
        self._shut = how
        if how != "closed":
            self._selector.unregister(self._socket)
        if how == "refused":
            self._socket.close()
            self._socket = _bind(
                self.port
            )  # bound without listening: refused, and nobody else can take the port

    def open(self) -> None:
        """New connections are welcome; those that were ignored too."""
        if self._shut == "refused":
            self._listen()
        elif self._shut == "ignored":
            self._selector.register(self._socket, selectors.EVENT_READ, self._accept)
        self._shut = None

    def _listen(self) -> None:
        self._socket.listen(_BACKLOG)
        self._socket.setblocking(False)
        self._selector.register(self._socket, selectors.EVENT_READ, self._accept)

    def _accept(self) -> None:
        with suppress(BlockingIOError, ConnectionAbortedError):
            client, _ = self._socket.accept()
            if self._shut == "closed":
                End(client, is_client=True).close(reset=True)
            else:
                self._hand_over(client)


def _bind(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener
