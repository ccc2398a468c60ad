"""What only a real server sees: where a request ends, how its head comes in, who keeps a connection open.

A few hundred messages to one gunicorn, made up by number like the others: `--hostile-seed=S` gives other ones.
"""

import contextlib
import random
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import psycopg2
import pytest

from tests.conftest import make_settings
from tests.hostile.raw import BODY, FRAMES, LOG_IN, SMUGGLED, RawCase, framed, made_up, smuggled
from tests.web_servers import RawAnswer, gunicorn, send_raw

MADE_UP = 300
ANSWERS_MAX = 3
OPEN_HEADS = 100
HEALTHZ = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
# 5xx that say what HTTP says of such a message: another version, another coding.
SAID_OF_THE_MESSAGE = {501, 505}


@dataclass(frozen=True, slots=True)
class Server:
    """A gunicorn, its log and its database."""

    port: int
    log: Path
    database_url: str

    def count_smuggled(self) -> int:
        """Accounts that nobody asked for."""
        connection = psycopg2.connect(self.database_url.replace("+psycopg2", ""))
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute("select count(*) from users where email like %s", (f"{SMUGGLED}%",))
            return cursor.fetchone()[0]


@pytest.fixture(scope="module")
def server(postgres, redis_server, tmp_path_factory) -> Iterator[Server]:
    """A real gunicorn, for every test here."""
    folder, name = tmp_path_factory.mktemp("gunicorn"), "test_hostile_sockets"
    postgres.create_database(name, template="guichet_template")
    url = postgres.database_url(name)
    settings = make_settings(url, redis_server.url, folder, login_failures_max=10**6)
    with gunicorn(settings, folder / "log") as port:
        yield Server(port, folder / "log", url)
    postgres.drop_database(name)


def converse(port: int, case: RawCase) -> list[RawAnswer]:
    """Sends the case, reads until the server closes, and takes the bytes apart into answers."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):  # it may close before everything is sent
            for piece in case.pieces:
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65_536):
                received += piece
    return list(_answers(received))


def _answers(received: bytes) -> Iterator[RawAnswer]:
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 100"):
            received = rest
            continue
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        size = len(rest) if length is None else int(length[1])
        yield RawAnswer(head + b"\r\n\r\n" + rest[:size])
        received = rest[size:]


def faults_of(case: RawCase, answers: list[RawAnswer]) -> list[str]:
    """What is wrong with what came back."""
    faults = []
    if len(answers) > ANSWERS_MAX:
        faults.append(f"{len(answers)} answers")
    for answer in answers:
        if answer.status >= 500 and answer.status not in SAID_OF_THE_MESSAGE:
            faults.append(f"{answer.status}")
        if "x-request-id" not in answer.headers:
            faults.append(f"{answer.status} without X-Request-ID")
        if answer.status >= 400:
            media_type = answer.headers.get("content-type")
            if media_type != "application/problem+json":
                faults.append(f"{answer.status} as {media_type}")
            elif orjson.loads(answer.body)["status"] != answer.status:
                faults.append(f"{answer.status} says another status")
    return [f"{case.name}: {fault}" for fault in faults]


class TestMessages:
    def test_whose_end_can_be_seen_in_two_ways_make_no_second_request(self, server):
        cases = [framed(number) for number in range(2 * len(FRAMES))]
        faults = [fault for case in cases for fault in faults_of(case, converse(server.port, case))]
        assert faults == []
        assert server.count_smuggled() == 0

    def test_that_are_bent_are_refused_in_order(self, server, pytestconfig):
        seed = pytestconfig.getoption("--hostile-seed")
        cases = [made_up(random.Random(f"{seed}:raw:{number}"), number) for number in range(MADE_UP)]
        faults = [fault for case in cases for fault in faults_of(case, converse(server.port, case))]
        assert faults == []
        assert server.count_smuggled() == 0
        assert send_raw(server.port, HEALTHZ + b"Connection: close\r\n\r\n").status == 200
        assert b"Traceback" not in server.log.read_bytes()

    def test_in_a_row_are_answered_in_their_order(self, server):
        """Pipelined: two good ones, one that ends it, and one that must not be read any more."""
        log_in = LOG_IN + b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
        bad = LOG_IN + b"Content-Length: x\r\n\r\n"
        answers = converse(server.port, RawCase("row", (HEALTHZ + b"\r\n" + log_in + bad + smuggled(0),)))
        assert [answer.status for answer in answers] == [200, 401, 400]
        assert server.count_smuggled() == 0

    def test_that_are_whole_would_have_made_an_account(self, server):
        """What was smuggled above is a good request: alone, it does what nobody saw it do."""
        made = smuggled(10**6).replace(SMUGGLED.encode(), b"honest-yes")
        made = made.replace(b"Content-Length: ", b"Connection: close\r\nContent-Length: ")
        made = re.sub(rb"(?<=Length: )\d+", b"%d" % len(made.partition(b"\r\n\r\n")[2]), made)
        assert send_raw(server.port, made).status == 201

    def test_that_are_cut_off_do_nothing(self, server):
        """Whatever is missing of a request, nobody's account is made."""
        whole = smuggled(1)
        for size in range(1, len(whole), 7):
            answers = converse(server.port, RawCase("cut", (whole[:size],)))
            assert all(answer.status in {400, 408} for answer in answers), (size, answers[0].status)
        assert server.count_smuggled() == 0


class TestConnections:
    def test_whose_heads_never_end_keep_nobody_waiting(self, server):
        with contextlib.ExitStack() as stack:
            heads = [
                stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
                for _ in range(OPEN_HEADS)
            ]
            for number, connection in enumerate(heads):
                connection.sendall(
                    (HEALTHZ + b"X: y\r\n", LOG_IN + b"Content-Length: 500\r\n\r\n{", b"G", b"\r\n")[
                        number % 4
                    ]
                )
            assert send_raw(server.port, HEALTHZ + b"Connection: close\r\n\r\n").status == 200
            for connection in heads[:10]:
                connection.sendall(b"X: z\r\n")
            assert send_raw(server.port, HEALTHZ + b"Connection: close\r\n\r\n").status == 200

    def test_that_are_reset_in_the_middle_harm_nobody(self, server):
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
                connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
                )
                connection.sendall(LOG_IN + b"Content-Length: 500\r\n\r\n{")
        assert send_raw(server.port, HEALTHZ + b"Connection: close\r\n\r\n").status == 200
        assert b"Traceback" not in server.log.read_bytes()
