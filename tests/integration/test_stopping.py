"""An API process that is told to stop, as at every deployment: nobody gets an answer to what they did not ask."""

import contextlib
import signal
import socket

from tests.lines import await_that
from tests.web_servers import gunicorn, serving

BODY = b'{"status":"ok"}'
ASK = b"GET /healthz HTTP/1.1\r\nHost: guichet.test\r\n\r\n"


class TestAnIdleConnection:
    def test_is_closed_without_an_answer_to_nothing(self, settings, tmp_path):
        with gunicorn(settings, tmp_path / "web.log") as port:
            idle = socket.create_connection(("127.0.0.1", port), timeout=30)
            with contextlib.closing(idle):
                assert ask(idle).startswith(b"HTTP/1.1 200")
                process = serving(idle)
                process.send_signal(signal.SIGTERM)
                assert idle.recv(65_536) == b""
                await_that(lambda: not process.is_running(), what="the process to end")

    def test_that_asks_while_the_process_ends_is_answered(self, settings, tmp_path):
        with gunicorn(settings, tmp_path / "web.log") as port:
            idle = socket.create_connection(("127.0.0.1", port), timeout=30)
            with contextlib.closing(idle):
                assert ask(idle).startswith(b"HTTP/1.1 200")
                serving(idle).send_signal(signal.SIGTERM)
                assert ask(idle).startswith(b"HTTP/1.1 200")


def ask(connection: socket.socket) -> bytes:
    """The whole answer: its head and its body may come apart."""
    connection.sendall(ASK)
    received = b""
    while not received.endswith(BODY):
        piece = connection.recv(65_536)
        assert piece, received
        received += piece
    return received
