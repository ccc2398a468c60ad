"""Requests that no client should send, or few do: each gets a problem document, from gunicorn itself too."""

import gzip
import re
from dataclasses import replace

import orjson
import pytest
from flask import Flask

from api.parsing import BODY_BYTES_MAX
from tests.conftest import make_settings
from tests.factories import auth_header, make_user
from tests.web_servers import RawAnswer, gunicorn, send_raw

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "FOO")
CONSOLE = ("/rq", "/login", "/logout")  # pages, with manners of their own: tests/integration/test_console*.py
VALUES = {"int": "1", "uuid": "01900000-0000-7000-8000-000000000000"}
LOG_IN = "/api/auth/login"


def addresses(app: Flask) -> list[str]:
    """One address for each rule."""
    rules = {rule.rule for rule in app.url_map.iter_rules() if not rule.rule.startswith(CONSOLE)}
    return sorted(
        re.sub(r"<(?:(\w+):)?\w+>", lambda found: VALUES.get(found[1] or "", "x"), rule) for rule in rules
    )


def allowed(app: Flask, address: str) -> set[str]:
    return set(app.url_map.bind("localhost").allowed_methods(address))


def assert_problem(answer, status: int, code: str) -> None:
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert answer.content_type == "application/problem+json"
    assert answer.headers["X-Request-ID"] == answer.json["request_id"]
    assert answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


class TestMethods:
    def test_that_an_address_does_not_take_are_405_with_those_that_it_does(self, bare_app, bare_client):
        app, client = bare_app, bare_client
        walked = addresses(app)
        assert len(walked) >= 30
        for address in walked:
            takes = allowed(app, address)
            for method in set(METHODS) - takes - {"HEAD"}:
                answer = client.open(address, method=method)
                assert_problem(answer, 405, "method_not_allowed")
                assert {name.strip() for name in answer.headers["Allow"].split(",")} == takes, (
                    method,
                    address,
                )
            if "HEAD" not in takes:
                answer = client.head(address)
                assert (answer.status_code, answer.data) == (405, b"")
                assert answer.headers["Allow"]

    def test_options_says_the_same_everywhere(self, bare_app, bare_client):
        app, client = bare_app, bare_client
        for address in addresses(app):
            answer = client.options(address)
            assert (answer.status_code, answer.data) == (200, b"")
            assert {name.strip() for name in answer.headers["Allow"].split(",")} == allowed(app, address)
            assert answer.headers["X-Request-ID"]

    def test_head_is_get_without_a_body(self, app, client, engine):
        for headers in ({}, auth_header(app, make_user(engine, role="admin"))):
            for address in addresses(app):
                if "GET" not in allowed(app, address):
                    continue
                get, head = client.get(address, headers=headers), client.head(address, headers=headers)
                assert (head.status_code, head.data) == (get.status_code, b""), address
                assert head.content_type == get.content_type
                assert head.headers["X-Request-ID"]


class TestAddresses:
    def test_with_a_slash_too_many_at_the_end_are_the_same(self, app, client, engine):
        headers = auth_header(app, make_user(engine, role="admin"))
        for address in addresses(app):
            if "GET" in allowed(app, address) and address != "/":
                plain, slashed = (client.get(f"{address}{end}", headers=headers) for end in ("", "/"))
                assert slashed.status_code == plain.status_code, address
                assert slashed.content_type == plain.content_type

    @pytest.mark.parametrize(
        ("address", "status"),
        [
            ("//api/health", 200),
            ("/api//health", 404),
            ("//evil.example/api/health", 404),
            ("/api/health//", 404),
        ],
    )
    def test_with_more_slashes_are_not_redirected(self, bare_client, address, status):
        """A redirect would name the host that the request names: anybody's."""
        answer = bare_client.get("/", environ_overrides={"PATH_INFO": address})
        assert answer.status_code == status
        assert "Location" not in answer.headers

    @pytest.mark.parametrize(
        "address",
        [
            "/api/events/%00",
            "/%00",
            "/api/events/%ff",
            "/x/%ed%a0%80",
            "/api/events/%zz",
            "/api/../healthz",
            "/*",
        ],
    )
    def test_that_are_odd_are_nowhere(self, bare_client, address):
        assert_problem(bare_client.get(address), 404, "not_found")

    def test_whose_text_is_odd_name_nothing(self, app, client, engine):
        headers = auth_header(app, make_user(engine))
        for reference in ("%00", "%ff", "x" * 3000, "%F0%9F%8E%AB"):
            answer = client.get(f"/api/bookings/reference/{reference}", headers=headers)
            assert_problem(answer, 404, "booking_not_found")

    def test_with_an_odd_query_are_answered(self, client):
        for query in ("search=%ff", "search=%ed%a0%80", "&&&", ""):
            assert client.get(f"/api/events?{query}").status_code == 200, query
        for query in (
            "search=%00",
            "%00=1",
            "x",
            "=",
            "limit=",
            "limit=%2b1",
            "cursor=%ff",
            "limit=1&limit=1",
        ):
            assert_problem(client.get(f"/api/events?{query}"), 422, "validation_failed")


class TestBodies:
    @pytest.mark.parametrize(
        "media_type",
        [
            None,
            "",
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/merge-patch+json",
            "application",
            "; charset=utf-8",
            "application/json, text/plain",
        ],
    )
    def test_of_another_type_are_refused(self, bare_client, media_type):
        headers = {} if media_type is None else {"Content-Type": media_type}
        answer = bare_client.post(LOG_IN, data=b"{}", headers=headers)
        assert_problem(answer, 415, "unsupported_media_type")

    @pytest.mark.parametrize(
        "media_type",
        [
            "application/json",
            "Application/JSON",
            'application/json;charset="UTF-8"',
            "application/json; charset=latin-1",
        ],
    )
    def test_of_json_are_utf_8_whatever_else_the_type_says(self, bare_client, media_type):
        text = '{"email": "é@example.org"}'
        answer = bare_client.post(LOG_IN, data=text.encode(), headers={"Content-Type": media_type})
        assert_problem(answer, 422, "validation_failed")
        assert [error["pointer"] for error in answer.json["errors"]] == ["#/password"]
        encodings = [text.encode(name) for name in ("utf-16", "latin-1", "utf-8-sig")]
        for encoded in (*encodings, gzip.compress(text.encode())):
            answer = bare_client.post(LOG_IN, data=encoded, headers={"Content-Type": media_type})
            assert_problem(answer, 400, "malformed_json")

    def test_that_are_too_long_are_refused(self, bare_client):
        answer = bare_client.post(LOG_IN, data=b" " * (BODY_BYTES_MAX + 1), content_type="application/json")
        assert_problem(answer, 413, "payload_too_large")


LINE = b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
JSON = b"Content-Type: application/json\r\n"
BODY = b'{"email": "a@example.org", "password": "x"}'


def get(target: bytes, *fields: bytes, version: bytes = b"1.1") -> bytes:
    head = (b"GET %s HTTP/%s" % (target, version), b"Host: x", b"Connection: close", *fields)
    return b"\r\n".join((*head, b"", b""))


def post(body: bytes, *fields: bytes) -> bytes:
    return LINE + JSON + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


LENGTH = b"Content-Length: %d" % len(BODY)
# What is sent, and the status and code of the problem that comes back.
REFUSED = {
    "a line that is too long": (get(b"/" + b"x" * 5000), 414, "bad_request"),
    "a header that is too long": (get(b"/healthz", b"X: " + b"y" * 9000), 431, "bad_request"),
    "too many headers": (get(b"/healthz", *[b"X: y"] * 150), 431, "bad_request"),
    "a method that is none": (b"G\xe2T / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    "a method in small letters": (b"get / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    "two spaces before the address": (b"GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    "two spaces after the address": (b"GET /healthz  HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    "another version": (get(b"/healthz", version=b"3.0"), 400, "bad_request"),
    "no version": (b"GET /healthz\r\n\r\n", 400, "bad_request"),
    "another protocol": (b"\x16\x03\x01\x00\xa5\x01\x00\r\n\r\n", 400, "bad_request"),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad_request"),
    "bytes in the address": (get(b"/api/events/\xff\xfe"), 400, "bad_request"),
    "a folded header": (get(b"/healthz", b"X: a\r\n b"), 400, "bad_request"),
    "a NUL in a header": (get(b"/healthz", b"X: a\x00b"), 400, "bad_request"),
    "two hosts": (get(b"/healthz", b"Host: y"), 400, "bad_request"),
    "two types": (post(BODY, b"Content-Type: text/plain", LENGTH), 400, "bad_request"),
    "two lengths": (post(BODY, LENGTH, b"Content-Length: 1"), 400, "bad_request"),
    "a length and chunks": (post(b"0\r\n\r\n", b"Transfer-Encoding: chunked", b"Content-Length: 5"), 400, "bad_request"),
    "a length below nothing": (post(BODY, b"Content-Length: -1"), 400, "bad_request"),
    "a length that the body does not reach": (post(BODY, b"Content-Length: 500"), 400, "bad_request"),
    "a length beyond everything": (post(BODY, b"Content-Length: 99999999999"), 413, "payload_too_large"),
    "chunks that are none": (post(b"zz\r\n{}\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"), 400, "bad_request"),
    "another transfer coding": (post(BODY, b"Transfer-Encoding: gzip"), 400, "bad_request"),
    "an expectation": (post(BODY, b"Expect: miracles", LENGTH), 417, "bad_request"),
    "a method that nobody knows": (b"FOO /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405, "method_not_allowed"),
    "a way through": (b"CONNECT evil.example:80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404, "not_found"),
    "everything's options": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404, "not_found"),
    "no type": (LINE + LENGTH + b"\r\n\r\n" + BODY, 415, "unsupported_media_type"),
}  # fmt: skip


@pytest.fixture(scope="module")
def port(postgres, redis_server, tmp_path_factory):
    """A real gunicorn's, for every test here."""
    folder = tmp_path_factory.mktemp("gunicorn")
    database = "test_odd_requests"
    postgres.create_database(database, template="guichet_template")
    with gunicorn(
        make_settings(postgres.database_url(database), redis_server.url, folder), folder / "log"
    ) as port:
        yield port
    postgres.drop_database(database)


def assert_raw_problem(answer: RawAnswer, status: int, code: str) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    document = orjson.loads(answer.body)
    assert (answer.status, document["status"], document["code"]) == (status, status, code)
    assert document["type"] == f"/problems/{code}"
    assert answer.headers["x-request-id"] == document["request_id"]
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"


class TestARealServer:
    @pytest.mark.parametrize(("message", "status", "code"), REFUSED.values(), ids=REFUSED)
    def test_refuses_with_a_problem(self, port, message, status, code):
        assert_raw_problem(send_raw(port, message), status, code)

    @pytest.mark.parametrize(
        "message",
        [
            get(b"http://evil.example/healthz"),
            get(b"/healthz?" + b"x" * 3000),
            get(b"/healthz#fragment"),
            get(b"/healthz", version=b"1.0"),
            get(b"/healthz", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
        ],
        ids=["another host in the address", "a long query", "a fragment", "HTTP/1.0", "HTTP/2 if possible"],
    )
    def test_answers_what_is_only_unusual(self, port, message):
        answer = send_raw(port, message)
        assert (answer.status, orjson.loads(answer.body)) == (200, {"status": "ok"})

    @pytest.mark.parametrize(
        "message",
        [
            post(BODY, b"Expect: 100-continue", LENGTH),
            post(b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY), b"Transfer-Encoding: chunked"),
        ],
        ids=["a body that waits to be asked for", "a body in chunks"],
    )
    def test_reads_bodies_in_every_form(self, port, message):
        assert_raw_problem(send_raw(port, message), 401, "invalid_credentials")

    def test_asks_for_tls_when_the_public_address_has_it(self, port, bare_app, tmp_path):
        refused = get(b"/healthz", version=b"3.0")
        assert "strict-transport-security" not in send_raw(port, refused).headers
        settings = replace(bare_app.extensions["guichet"].settings, base_url="https://tickets.example.org")
        with gunicorn(settings, tmp_path / "log") as public:
            answer = send_raw(public, refused)
        assert (answer.status, answer.headers["strict-transport-security"]) == (400, "max-age=31536000")

    def test_says_no_more_about_itself_than_its_name(self, port):
        assert send_raw(port, get(b"/healthz")).headers["server"] == "gunicorn"
