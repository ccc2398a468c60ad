"""A server on a unix socket that says what it hears, and remembers it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.trials.proxy.client import Proxy


class Echo:
    """Answers each piece with the same, and an end with an end. `silent`: hears, but says nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[bytearray] = []
        self.ended: list[bool] = []
        self.silent = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(128)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def everything(self) -> bytes:
        """What was heard on all connections."""
        return b"".join(self.heard)

    def close(self) -> None:
        """Hears nobody any more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        try:
            while True:
                connection, _ = self._listener.accept()
                number = len(self.heard)
                self.heard.append(bytearray())
                self.ended.append(False)
                threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()
        except OSError:
            return

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection:
            try:
                while data := connection.recv(65_536):
                    self.heard[number] += data
                    if not self.silent:
                        connection.sendall(data)
            except OSError:
                pass
        self.ended[number] = True


@contextmanager
def call(proxy: Proxy, seconds: float = 30.0) -> Iterator[socket.socket]:
    """A client's connection."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=seconds) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield client


def ask(client: socket.socket, data: bytes) -> bytes:
    """Sends, and reads as much."""
    client.sendall(data)
    return read(client, len(data))


def read(client: socket.socket, count: int) -> bytes:
    """So many bytes, or what came before the end."""
    got = bytearray()
    while len(got) < count and (data := client.recv(count - len(got))):
        got += data
    return bytes(got)
