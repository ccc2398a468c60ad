"""Bodies that are too long, that JSON does not allow, or that readers could read in two ways: refused, never a 500."""

import io
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import EnvironBuilder, run_wsgi_app

from api.parsing import BODY_BYTES_MAX, load_body
from api.schemas.requests import BookSchema
from shared.errors import InvalidInputError
from tests.factories import auth_header, make_user
from tests.web_servers import gunicorn

LOG_IN = "/api/auth/login"
# What a server sets that finds the end of the stream by itself, as gunicorn does.
CHUNKED = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
PIECE = b"x" * 16 * 1024


class Endless:
    """A body that never ends; remembers how much of it was read."""

    def __init__(self) -> None:
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        assert size > 0, "a bounded reader asks for a bounded piece"
        assert self.given <= 2 * BODY_BYTES_MAX, "it goes on reading"
        self.given += size
        return b"x" * size

    def readline(self, size: int = -1) -> bytes:
        return self.read(size)


def send(app, body: Any, **environ: Any) -> int:
    """The status of a log-in whose body is this stream."""
    builder = EnvironBuilder(LOG_IN, method="POST", content_type="application/json")
    environ = {**builder.get_environ(), "wsgi.input": body, **environ}
    _, status, _ = run_wsgi_app(app, environ)
    return int(status.split()[0])


def post(app, body: bytes, **headers: str):
    """A log-in with these bytes as its body."""
    return app.test_client().post(LOG_IN, data=body, headers={"Content-Type": "application/json", **headers})


class TestSmallBody:
    def test_is_checked_once_and_given_anew_each_time(self, app):
        """Bodies that were checked are remembered: one that was refused is not, nor what a caller made of one."""
        schema = BookSchema()

        def load(body: bytes) -> dict[str, Any]:
            with app.test_request_context("/", method="POST", data=body, content_type="application/json"):
                return load_body(schema)

        for _ in range(2):
            first = load(b'{"tickets": 3}')
            assert first == {"tickets": 3, "waitlist": False}
            first["tickets"] = 4
            with pytest.raises(InvalidInputError):
                load(b'{"tickets": 11}')
            with pytest.raises(InvalidInputError):
                load(b'{"tickets": true}')

    def test_that_was_cut_off_is_refused(self, app):
        assert send(app, io.BytesIO(b'{"email": 1}'), CONTENT_LENGTH="13") == 400


class TestLength:
    def test_of_an_announced_body_is_judged_by_its_announcement(self, app):
        body = Endless()
        assert send(app, body, CONTENT_LENGTH=str(10 * BODY_BYTES_MAX)) == 413
        assert body.given == 0

    def test_of_a_body_in_chunks_is_judged_while_it_is_read(self, app):
        assert send(app, Endless(), **CHUNKED) == 413

    def test_of_one_that_would_be_fine_if_it_were_cut_off_is_refused_too(self, app):
        fine = b'{"email": "a@example.org", "password": "x"}'.ljust(BODY_BYTES_MAX)
        assert send(app, io.BytesIO(fine), **CHUNKED) == 401
        assert send(app, io.BytesIO(fine + b" "), **CHUNKED) == 413
        assert send(app, io.BytesIO(fine + b" " * 10 * BODY_BYTES_MAX), **CHUNKED) == 413

    def test_may_be_just_what_is_allowed(self, app):
        body = b'{"email": "a@example.org", "password": "' + b"x" * 100 + b'"}'
        assert post(app, body.ljust(BODY_BYTES_MAX)).status_code == 401
        assert post(app, body.ljust(BODY_BYTES_MAX + 1)).status_code == 413


@pytest.fixture
def port(settings, tmp_path) -> Iterator[int]:
    """A real gunicorn's."""
    with gunicorn(settings, tmp_path / "web.log") as port:
        yield port


def test_gunicorn_answers_before_a_chunked_body_has_ended(port):
    """The client never says that it is done: who waited for that would wait for ever."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(
            f"POST {LOG_IN} HTTP/1.1\r\nHost: guichet\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        for _ in range(BODY_BYTES_MAX // len(PIECE) + 1):
            connection.sendall(b"%x\r\n%s\r\n" % (len(PIECE), PIECE))
        with connection.makefile("rb") as answer:
            assert answer.readline().startswith(b"HTTP/1.1 413 ")


class TestJson:
    @pytest.mark.parametrize(
        "body",
        [
            b'{"email": "a@example.org", "email": "b@example.org", "password": "x"}',
            b'{"email": {"a": 1, "a": 1}, "password": "x"}',  # at any depth
            b'{"email": NaN, "password": "x"}',
            b'{"email": Infinity, "password": "x"}',
            b'{"email": -Infinity, "password": "x"}',
            b"[" * 30_000 + b"]" * 30_000,
            b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
            b"1" * 5000,  # more digits than Python turns into a number
            b"\xff\xff",
            b'{"email": "\xed\xa0\x80"}',  # a surrogate is no character of UTF-8
            b'{"email": "a@example.org", "password": "x"',
            b'{"email": "\x01"}',
        ],
        ids=lambda body: body[:24].decode(errors="replace"),
    )
    def test_that_is_none_is_malformed(self, app, body):
        answer = post(app, body)
        assert (answer.status_code, answer.json["code"]) == (400, "malformed_json")

    @pytest.mark.parametrize("value", [rb'"\ud800"', rb'"\udfff\ud800"', rb'"a\u0000b"'])
    @pytest.mark.parametrize("field", ["email", "password"])
    def test_text_that_cannot_be_stored_is_refused_by_field(self, app, value, field):
        values = {b"email": b'"a@example.org"', b"password": b'"x"', field.encode(): value}
        answer = post(app, b"{%s}" % b",".join(b'"%s":%s' % pair for pair in values.items()))
        assert (answer.status_code, answer.json["code"]) == (422, "validation_failed")
        assert [error["pointer"] for error in answer.json["errors"]] == [f"#/{field}"]

    def test_so_it_is_where_it_would_be_stored(self, app, client, engine):
        user = make_user(engine)
        for value in (r'"\ud800"', r'"a\u0000b"'):
            body = f'{{"name": {value}}}'
            headers = {**auth_header(app, user), "Content-Type": "application/json"}
            answer = client.put(f"/api/users/{user.id}", data=body, headers=headers)
            assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, "#/name")

    @pytest.mark.parametrize("name", [rb"\ud800", rb"\u0000", b"a/b~c", rb"\ud83c\udf9f"])
    def test_a_strange_name_is_an_unknown_field(self, app, name):
        """And the answer, which repeats it, is JSON that anybody can read."""
        answer = post(app, b'{"email": "a@example.org", "password": "x", "%s": 1}' % name)
        assert (answer.status_code, len(answer.json["errors"])) == (422, 1)
        assert answer.json["errors"][0]["pointer"].startswith("#/")
