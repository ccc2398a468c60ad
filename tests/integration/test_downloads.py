"""Files from a real web server: whoever reads slowly keeps nobody up, and what breaks off is seen to."""

import http.client
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from shared.models import Event, User
from shared.settings import Settings
from tests.factories import bearer, make_event, make_user
from tests.web_servers import gunicorn

ROWS = 60_000  # more text than sockets hold


@pytest.fixture
def event(engine, host) -> Event:
    event = make_event(engine, host=host)
    with engine.begin() as connection:
        connection.execute(text("set local session_replication_role = replica"))
        connection.execute(
            text(
                "insert into bookings (id, reference, event_id, user_id, job_id, tickets, status, price_minor,"
                " currency, arrival, created_at, cancelled_at) select md5('b' || n)::uuid, repeat('x', 200) || n,"
                " :event_id, :user_id, md5('j' || n)::uuid, 1, 'cancelled', 0, 'EUR', n, now(), now()"
                " from generate_series(1, :rows) n"
            ),
            {"event_id": event.id, "user_id": make_user(engine).id, "rows": ROWS},
        )
    return event


@pytest.fixture
def port(settings: Settings, tmp_path: Path) -> Iterator[int]:
    """One process with one connection to the database."""
    with gunicorn(replace(settings, database_pool_size=1), tmp_path / "log") as port:
        yield port


@contextmanager
def begun(settings: Settings, port: int, host: User, event: Event) -> Iterator[http.client.HTTPResponse]:
    """The answer's beginning, to a client that takes a few KB at a time."""
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection, socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(60)
        slow.connect(("127.0.0.1", port))
        connection.sock = slow
        connection.request("GET", f"/api/events/{event.id}/bookings.csv", headers=bearer(settings, host))
        with connection.getresponse() as answer:
            yield answer


def profile(settings: Settings, port: int, host: User) -> int:
    """Something that needs the database."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", "/api/auth/profile", headers=bearer(settings, host))
        return connection.getresponse().status


def rename(engine: Engine, before: str, after: str) -> None:
    """Waits for nobody: no transaction has the table open between two pages."""
    with engine.begin() as connection:
        connection.execute(text("set local lock_timeout = '2s'"))
        connection.execute(text(f"alter table {before} rename to {after}"))


def test_a_slow_reader_keeps_no_connection_and_gets_all(settings, port, host, event):
    with begun(settings, port, host, event) as answer:
        assert (answer.status, answer.headers["Transfer-Encoding"]) == (200, "chunked")
        read = answer.read(1000)
        assert profile(settings, port, host) == 200
        assert (read + answer.read()).count(b"\r\n") == ROWS + 1


def test_what_fails_in_the_middle_is_no_whole_file(settings, engine, port, host, event):
    with begun(settings, port, host, event) as answer:
        answer.read(1000)
        rename(engine, "bookings", "gone")
        with pytest.raises(http.client.IncompleteRead):
            answer.read()
    assert profile(settings, port, host) == 200
