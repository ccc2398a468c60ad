"""A real gunicorn with the worker of our own: how its answers leave, and that it ends as gunicorn's does."""

import contextlib
import signal
import socket
from collections.abc import Iterator

import pytest

from tests.lines import await_that
from tests.waiting_app import FIRST, LAST
from tests.web_servers import gunicorn, serving

APPLICATION = "tests.waiting_app:app"
# The configuration's five seconds are for people; a machine at its limit may need more to say a word.
PATIENT = ("--graceful-timeout", "25")


@pytest.fixture
def port(settings, tmp_path) -> Iterator[int]:
    with gunicorn(settings, tmp_path / "web.log", application=APPLICATION, options=PATIENT) as port:
        yield port


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        yield connection


def ask(connection: socket.socket, path: str, *, method: str = "GET") -> None:
    connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: guichet.test\r\n\r\n".encode())


def read_until(connection: socket.socket, end: bytes) -> bytes:
    received = b""
    while not received.endswith(end):
        piece = connection.recv(65_536)
        assert piece, received
        received += piece
    return received


class TestAnAnswer:
    def test_arrives_in_one_piece(self, port):
        with connected(port) as connection:
            for _ in range(30):
                ask(connection, "/")
                answer = connection.recv(65_536)
                assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
                assert answer.endswith(b"\r\n\r\nhere")

    def test_without_a_body_leaves_at_once(self, port):
        with connected(port) as connection:
            ask(connection, "/", method="HEAD")
            assert connection.recv(65_536).endswith(b"\r\nContent-Length: 4\r\n\r\n")

    def test_that_is_a_stream_leaves_piece_by_piece(self, port):
        with connected(port) as connection, connected(port) as other:
            ask(connection, "/wait")
            received = read_until(connection, b"%X\r\n%s\r\n" % (len(FIRST), FIRST))
            assert b"\r\nTransfer-Encoding: chunked\r\n" in received
            ask(other, "/go")
            assert read_until(connection, b"0\r\n\r\n") == b"%X\r\n%s\r\n0\r\n\r\n" % (len(LAST), LAST)


class TestAConnectionThatSaysNothing:
    @pytest.mark.parametrize("said", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: guichet.test\r\n\r\n"])
    def test_is_closed_and_no_other(self, settings, tmp_path, said):
        options = (*PATIENT, "--keep-alive", "1")
        with (
            gunicorn(settings, tmp_path / "web.log", application=APPLICATION, options=options) as port,
            connected(port) as streaming,
        ):
            ask(streaming, "/wait")
            read_until(streaming, FIRST + b"\r\n")
            with connected(port) as silent:
                silent.sendall(said)
                received = b"".join(iter(lambda: silent.recv(65_536), b""))
                assert received == b"" or received.endswith(b"here")
                assert bool(received) == said.endswith(b"\r\n\r\n")
            with connected(port) as asking:
                ask(asking, "/go")
                read_until(asking, b"here")
            assert read_until(streaming, b"0\r\n\r\n").endswith(LAST + b"\r\n0\r\n\r\n")
        assert b"Traceback" not in (tmp_path / "web.log").read_bytes()


class TestAProcessThatIsToldToStop:
    def test_ends_what_it_answers_and_takes_no_more(self, port):
        with connected(port) as streaming, connected(port) as asking, connected(port) as last:
            for idle in (asking, last):
                ask(idle, "/")
                read_until(idle, b"here")
            ask(streaming, "/wait")
            read_until(streaming, FIRST + b"\r\n")
            worker = serving(streaming)
            worker.send_signal(signal.SIGTERM)
            await_that(lambda: _says_close(asking), what="an answer that closes its connection")
            assert asking.recv(1) == b""
            ask(last, "/go")
            assert b"\r\nConnection: close\r\n" in read_until(last, b"here")
            read_until(streaming, LAST + b"\r\n0\r\n\r\n")
        await_that(lambda: not worker.is_running(), what="the process to end")
        with connected(port) as successor:
            ask(successor, "/")
            assert read_until(successor, b"here").startswith(b"HTTP/1.1 200 OK")


def _says_close(connection: socket.socket) -> bool:
    ask(connection, "/")
    return b"\r\nConnection: close\r\n" in read_until(connection, b"here")
