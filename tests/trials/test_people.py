"""What is written down of an answer: what it says of a job, and what it must never show."""

import orjson
import pytest

from scripts.load.client import Answer, TransportError
from scripts.trials.history import Call
from scripts.trials.people.caller import make_call

PROBLEM = {"content-type": "application/problem+json"}
JSON = {"content-type": "application/json"}
STATUS = {
    "job_id": "j1",
    "kind": "book",
    "status": "confirmed",
    "arrival": 3,
    "booking": {"id": "b1"},
    "links": {},
}


class Scripted:
    """A connection that answers what it was told."""

    def __init__(self, answer: Answer | Exception) -> None:
        self._answer = answer
        self.sent = None

    def request(self, method, path, *, headers, document):
        self.sent = (method, path, headers, document)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def noted(answer: Answer | Exception, **fields) -> Call:
    call = Call(action="book", user_id=1, sent_at=0.0, **fields)
    make_call(Scripted(answer), call, "POST", "/api/bookings/1/book", token="t", document={"tickets": 1})
    return call


class TestAnAnswer:
    def test_that_says_how_a_job_stands_is_kept(self):
        call = noted(Answer(201, JSON, orjson.dumps(STATUS)))
        assert call.said == {"job_id": "j1", "kind": "book", "status": "confirmed", "arrival": 3}
        assert (call.status, call.booking_id, call.code) == (201, "b1", "")
        assert 0 < call.sent_at <= call.answered_at

    def test_that_is_a_problem_about_a_job_is_kept_as_that_job_stands(self):
        body = {"status": 409, "code": "sold_out", "job": STATUS | {"status": "rejected", "booking": None}}
        call = noted(Answer(409, PROBLEM, orjson.dumps(body)))
        assert (call.code, call.said["status"], call.booking_id) == ("sold_out", "rejected", None)

    def test_that_only_names_a_job_says_nothing_about_it(self):
        body = {"status": 503, "code": "accept_unknown", "job_id": "j2"}
        call = noted(Answer(503, PROBLEM, orjson.dumps(body)))
        assert (call.code, call.said) == ("accept_unknown", {"job_id": "j2"})

    def test_that_never_came_leaves_the_status_empty(self):
        call = noted(TransportError("the server closed the connection"))
        assert (call.status, call.said) == (0, {})
        assert call.error == "the server closed the connection"
        assert call.answered_at >= call.sent_at

    @pytest.mark.parametrize(
        "body",
        [
            b"Traceback (most recent call last):",
            b'{"detail": "(psycopg2.OperationalError) server closed"}',
            b'{"detail": "File \\"/srv/api/app.py\\""}',
            b"ERR user_script:12: Script attempted",
        ],
    )
    def test_that_shows_our_inside_is_a_leak(self, body):
        assert noted(Answer(500, JSON, body)).leak != ""

    def test_that_shows_nothing_is_none(self):
        assert noted(Answer(404, PROBLEM, b'{"code": "event_not_found"}')).leak == ""


class TestARequest:
    def test_carries_its_key_and_its_wish(self):
        connection = Scripted(Answer(202, JSON, b"{}"))
        call = Call(action="book", user_id=1, sent_at=0.0, key="k")
        make_call(connection, call, "POST", "/p", token="t", document={}, prefer="wait=5")
        assert connection.sent[2] == {"Authorization": "Bearer t", "Idempotency-Key": "k", "Prefer": "wait=5"}
