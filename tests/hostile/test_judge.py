"""The judge sees what it is there to see: each fault shown to it once, and the same answer without it."""

import dataclasses

import orjson
import psycopg2
import pytest

from tests.hostile.judge import Judge
from tests.hostile.request import HostileAnswer, HostileRequest
from tests.hostile.traces import Traces

PROBLEM = {
    "type": "/problems/event_not_found",
    "title": "x",
    "status": 404,
    "detail": "x",
    "code": "event_not_found",
    "instance": "/api/events/5",
    "request_id": "a",
}
HEADERS = [
    ("Content-Type", "application/problem+json"),
    ("X-Request-ID", "a"),
    ("X-Content-Type-Options", "nosniff"),
]
GOOD = HostileAnswer(404, HEADERS, orjson.dumps(PROBLEM))
SHOW = HostileRequest("GET", b"/api/events/5")


def problem(**members):
    return orjson.dumps({**PROBLEM, **members})


@pytest.fixture(scope="module")
def judge(tmp_path_factory) -> Judge:
    """A judge of the application, which asks nobody."""
    from api.app import create_app
    from tests.conftest import make_settings

    return Judge(
        create_app(
            make_settings(
                "postgresql+psycopg2:///nowhere", "redis://localhost:1/0", tmp_path_factory.mktemp("app")
            )
        )
    )


class TestJudge:
    def test_finds_nothing_wrong_with_a_good_refusal(self, judge):
        assert judge.find_faults(SHOW, GOOD, []) == []

    @pytest.mark.parametrize(
        ("change", "word"),
        [
            ({"status": 500, "body": problem(status=500, code="internal_error")}, "500 is not"),
            ({"status": 418, "body": problem(status=418)}, "418 is not"),
            ({"body": problem(status=403)}, "another status"),
            ({"body": problem(code="offer_not_found")}, "offer_not_found is not"),
            ({"body": problem(code="nonsense")}, "no known code"),
            ({"body": problem(request_id="b")}, "another request"),
            ({"body": b'{"status": 404}'}, "a problem without"),
            ({"body": problem(detail="psycopg2.errors.UndefinedTable")}, "inside"),
            ({"body": problem(detail='File "/x/y.py", line 3, in z')}, "inside"),
            ({"headers": [*HEADERS[:1], *HEADERS[2:]]}, "X-Request-ID"),
            ({"headers": [("Content-Type", "text/html"), *HEADERS[1:]]}, "404 as 'text/html'"),
            ({"headers": [*HEADERS, ("Location", "//evil.example")]}, "Location"),
            ({"headers": [*HEADERS, ("X-Odd", "a\r\nb")]}, "HTTP does not know"),
        ],
    )
    def test_finds_what_is_wrong(self, judge, change, word):
        faults = judge.find_faults(SHOW, dataclasses.replace(GOOD, **change), [])
        assert any(word in fault for fault in faults), faults

    def test_finds_what_a_refusal_or_a_read_has_written(self, judge):
        assert judge.find_faults(SHOW, GOOD, ["insert bookings"]) == ["404 has written: ['insert bookings']"]
        read = HostileAnswer(200, [("Content-Type", "text/plain; version=0.0.4"), *HEADERS[1:]], b"x")
        assert "GET has written: ['Redis']" in judge.find_faults(
            HostileRequest("GET", b"/metrics"), read, ["Redis"]
        )

    def test_lets_a_decision_and_a_failed_log_in_leave_what_is_theirs(self, judge):
        told = dataclasses.replace(GOOD, status=409, body=problem(status=409, code="sold_out", job={}))
        book = HostileRequest("POST", b"/api/bookings/5/book")
        assert judge.find_faults(book, told, ["insert decisions"]) == []
        headers = [*HEADERS, ("WWW-Authenticate", "Bearer")]
        failed = HostileAnswer(401, headers, problem(status=401, code="invalid_credentials"))
        log_in = HostileRequest("POST", b"/api/auth/login")
        assert judge.find_faults(log_in, failed, ["insert login_failures"]) == []
        assert judge.find_faults(log_in, failed, ["insert users"]) != []


class TestTraces:
    @pytest.fixture
    def traces(self, database_url, redis_client):
        traces = Traces(database_url, redis_client)
        yield traces
        traces.close()

    def test_show_each_row_that_stays(self, traces, database_url):
        connection = psycopg2.connect(database_url.replace("+psycopg2", ""))
        with connection.cursor() as cursor:
            cursor.execute("insert into users (name, email, role) values ('x', 'x@example.org', 'host')")
            connection.rollback()
            assert traces.read() == []
            cursor.execute("insert into users (name, email, role) values ('x', 'x@example.org', 'host')")
            cursor.execute("update users set name = 'y'")
            assert traces.read() == []
            connection.commit()
        connection.close()
        assert traces.read() == ["insert users", "update users"]
        assert traces.read() == []

    def test_show_each_change_in_redis_and_no_look(self, traces, redis_client):
        redis_client.get("x")
        redis_client.delete("x")
        assert traces.read() == []
        redis_client.set("x", "y")
        assert traces.read() == ["Redis"]
        redis_client.expire("x", 60)
        assert traces.read() == ["Redis"]
