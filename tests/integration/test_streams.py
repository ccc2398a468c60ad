"""A stream of events is honest while the line is away, to whom it was opened by a token, and when tokens are revoked."""

import threading
import uuid
from collections.abc import Iterator, Sequence
from datetime import timedelta
from types import SimpleNamespace

import orjson
import pytest

from api import event_streams
from shared.clock import utc_now
from shared.errors import UnavailableError
from shared.line.status import Question
from tests.factories import auth_header, make_event, make_user, make_users
from tests.lines import LineDriver


@pytest.fixture
def driver(settings, engine) -> Iterator[LineDriver]:
    driver = LineDriver(settings, engine)
    yield driver
    driver.close()


class Follower:
    """Somebody with a request in the line, and how they follow it."""

    def __init__(self, app, user, event_id: int) -> None:
        self.app, self.family = app, uuid.uuid4()
        self.user, self.headers = user, auth_header(app, user, family_id=self.family)
        answer = app.test_client().post(f"/api/bookings/{event_id}/book", headers=self.headers)
        self.job, self.links = answer.json["job_id"], answer.json["links"]

    def by_token(self, **headers: str):
        return self.app.test_client().get(self.links["stream"], headers=headers)

    def by_bearer(self, **headers: str):
        path = f"/api/bookings/status/{self.job}/stream"
        return self.app.test_client().get(path, headers={**self.headers, **headers})


@pytest.fixture
def follower(app, engine, driver) -> Follower:
    event = make_event(engine)
    return [Follower(app, user, event.id) for user in make_users(engine, 2)][1]


def documents(chunks: Iterator[bytes]) -> Iterator[tuple[str, dict]]:
    """(event, document) of what is no comment."""
    for chunk in chunks:
        if not chunk.startswith(b":"):
            lines = dict(line.split(": ", 1) for line in chunk.decode().splitlines() if line)
            yield lines["event"], orjson.loads(lines["data"])


def few(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The rest of a stream that must end soon."""
    for count, chunk in enumerate(chunks):
        assert count < 50, "it goes on"
        yield chunk


class TestLineAway:
    def test_ends_with_the_stream(self, follower, monkeypatch):
        """Ten minutes, whatever the line does: the clock counts, not the number of waits."""
        now = [0.0]
        monkeypatch.setattr(event_streams, "time", SimpleNamespace(monotonic=lambda: now[0]))
        monkeypatch.setattr(event_streams, "HEARTBEAT_SECONDS", 0)
        chunks = follower.by_token().iter_encoded()
        next(chunks)
        now[0] = event_streams.STREAM_SECONDS_MAX
        assert list(documents(few(chunks))) == []

    def test_does_not_lose_the_decision(self, app, driver, follower, monkeypatch):
        monkeypatch.setattr(event_streams, "POSITION_SECONDS", 0.01)
        chunks = follower.by_token().iter_encoded()
        next(chunks)
        hub, away = app.extensions["guichet"].hub, threading.Event()
        look_up = hub._look_up
        away.set()

        def look_or_fail(asked: Sequence[Question]) -> object:
            return [UnavailableError("line_unavailable")] * len(asked) if away.is_set() else look_up(asked)

        monkeypatch.setattr(hub, "_look_up", look_or_fail)
        assert next(chunks) == b": the line does not answer\n\n"
        driver.decide_all()
        away.clear()
        assert [event for event, _ in documents(chunks)] == ["decided"]

    def test_is_not_a_silent_stream(self, follower, monkeypatch):
        """Proxies close what says nothing; and a write is how one notices that nobody listens."""
        monkeypatch.setattr(event_streams, "HEARTBEAT_SECONDS", 0.01)
        chunks = follower.by_token().iter_encoded()
        next(chunks)
        assert [next(chunks) for _ in range(3)] == [event_streams.STILL_WAITING] * 3
        chunks.close()


class TestOpenedByToken:
    def test_gives_no_new_token(self, driver, follower):
        """Whoever finds a stream's address in a log follows one request for ten minutes, not for ever."""
        chunks = documents(follower.by_token().iter_encoded())
        told = [next(chunks)]
        driver.decide_all()
        told += chunks
        assert [event for event, _ in told] == ["position", "decided"]
        assert [set(document["links"]) for _, document in told] == [{"status", "withdraw"}, {"status"}]

    def test_says_that_there_is_nothing_more_to_come(self, driver, follower):
        driver.decide_all()
        for answer in (
            follower.by_token(**{"Last-Event-ID": "decided"}),
            follower.by_bearer(**{"Last-Event-ID": "decided"}),
        ):
            assert (answer.status_code, answer.data) == (204, b"")
        assert follower.by_token(**{"Last-Event-ID": "position-2"}).status_code == 200

    def test_who_claims_to_know_the_decision_of_an_undecided_request_waits_for_it(self, driver, follower):
        chunks = follower.by_token(**{"Last-Event-ID": "decided"}).iter_encoded()
        assert next(chunks).startswith(b"id: position-2\n")
        driver.decide_all()
        assert [event for event, _ in documents(chunks)] == ["decided"]


class TestOpenedByBearer:
    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch) -> None:
        monkeypatch.setattr(event_streams, "POSITION_SECONDS", 0.01)
        monkeypatch.setattr(event_streams, "HEARTBEAT_SECONDS", 0.01)

    @pytest.mark.parametrize("subject", ["family:{0.family}", "user:{0.user.id}"])
    def test_ends_when_it_is_revoked(self, app, driver, follower, subject):
        chunks = follower.by_bearer().iter_encoded()
        _, first = next(documents(chunks))
        assert "stream" in first["links"]
        app.extensions["guichet"].line.revoke({subject.format(follower): utc_now() + timedelta(minutes=15)})
        assert list(documents(few(chunks))) == []
        driver.decide_all()
        assert follower.by_bearer().status_code == 401

    def test_does_not_end_when_somebody_else_is_revoked(self, app, engine, driver, follower):
        chunks = follower.by_bearer().iter_encoded()
        next(chunks)
        stranger = f"user:{make_user(engine).id}"
        app.extensions["guichet"].line.revoke({stranger: utc_now() + timedelta(minutes=15)})
        assert next(chunks).startswith(b":")
        driver.decide_all()
        assert [event for event, _ in documents(chunks)] == ["decided"]
