"""The line dies while its answer is being followed: what was accepted is told as accepted, what is not known as
unknown, nothing as refused.
"""

import os
import signal
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from api import waiting
from shared.errors import UnavailableError
from shared.line import keys
from shared.settings import Settings
from tests.conftest import connect_redis
from tests.factories import auth_header, make_event, make_user
from tests.lines import await_that

KEY = {"Idempotency-Key": "a"}


@pytest.fixture
def settings(settings: Settings, own_redis) -> Settings:
    """A Redis that the test may kill."""
    return replace(settings, redis_url=own_redis.url)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


class Booker:
    """Somebody who books and waits for the decision; nobody decides."""

    def __init__(self, app, engine) -> None:
        self.app, self.event = app, make_event(engine)
        self.headers = auth_header(app, make_user(engine))

    def book(self, route: str = "/api/bookings/{}/book", **headers: str):
        return self.app.test_client().post(
            route.format(self.event.id), json={"tickets": 1}, headers={**self.headers, **headers}
        )

    def waits(self) -> bool:
        """Whether the request stands in the line, and its answer is being waited for."""
        return bool(self.app.extensions["guichet"].hub._waiters)

    def queued(self, redis_url: str) -> list[str]:
        """Ids that stand in the event's line."""
        with connect_redis(redis_url) as redis:
            return [raw.decode() for raw in redis.lrange(keys.queue(self.event.id % 8), 0, -1)]


@pytest.fixture
def booker(app, engine, monkeypatch) -> Booker:
    monkeypatch.setattr(waiting, "RECONNECT_SECONDS", 0.01)
    return Booker(app, engine)


@pytest.mark.parametrize(
    ("route", "headers"),
    [("/api/bookings/{}/book", {"Prefer": "wait=30"}), ("/api/events/{}/register", {"Prefer": "wait=30"})],
)
def test_an_accepted_request_is_told_as_accepted(booker, own_redis, pool, route, headers):
    answering = pool.submit(booker.book, route, **headers)
    await_that(booker.waits, what="the waiter")
    queued = booker.queued(own_redis.url)
    own_redis.kill()
    answer = answering.result(timeout=30)
    assert answer.status_code == 202, answer.text
    assert [answer.json["job_id"]] == queued
    assert (answer.json["status"], answer.json["arrival"]) == ("queued", 1)
    assert answer.headers["Location"] == answer.json["links"]["status"] == f"/api/bookings/status/{queued[0]}"
    assert int(answer.headers["Retry-After"]) >= 1


def test_so_it_is_when_the_ledger_cannot_be_asked_either(booker, own_redis, pool, monkeypatch):
    answering = pool.submit(booker.book, Prefer="wait=30")
    await_that(booker.waits, what="the waiter")
    # no connection is free: how a pool notices that PostgreSQL is away, without stopping everybody's server
    engine = booker.app.extensions["guichet"].engine
    connections = [
        engine.connect() for _ in range(booker.app.extensions["guichet"].settings.database_pool_size)
    ]
    monkeypatch.setattr(engine.pool, "_timeout", 0)
    own_redis.kill()
    try:
        assert answering.result(timeout=30).status_code == 202
    finally:
        for connection in connections:
            connection.close()


def test_a_redis_that_lost_everything_does_not_make_it_unheard_of(booker, own_redis, pool):
    """Its place is gone, and so is its job: still, `job_not_found` is no answer to a POST that was accepted."""
    answering = pool.submit(booker.book, Prefer="wait=30")
    await_that(booker.waits, what="the waiter")
    with connect_redis(own_redis.url) as redis:
        redis.flushall()
        redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")  # wakes the waiter
    assert answering.result(timeout=30).status_code == 202


class TestRepeated:
    """A request with an Idempotency-Key that the line knows already."""

    def test_is_unknown_when_its_job_cannot_be_followed(self, booker, own_redis, pool):
        job_id = booker.book(**KEY).json["job_id"]
        answering = pool.submit(booker.book, **KEY, Prefer="wait=30")
        await_that(booker.waits, what="the waiter")
        own_redis.kill()
        answer = answering.result(timeout=30)
        assert (answer.status_code, answer.json["code"]) == (503, "accept_unknown")
        assert answer.json["job_id"] == job_id
        assert answer.json["links"] == {"status": f"/api/bookings/status/{job_id}"}
        assert int(answer.headers["Retry-After"]) >= 1

    def test_is_unknown_without_waiting_too(self, booker, own_redis):
        job_id = booker.book(**KEY).json["job_id"]
        with connect_redis(own_redis.url) as redis:
            redis.delete(keys.job(job_id))
        answer = booker.book(**KEY)
        assert (answer.status_code, answer.json["code"]) == (503, "accept_unknown")
        assert answer.json["job_id"] == job_id

    def test_is_followed_again_when_the_line_is_back(self, booker, own_redis, pool):
        job_id = booker.book(**KEY).json["job_id"]
        own_redis.kill()
        answer = booker.book(**KEY)  # nothing was sent: whoever asks again asks for the same
        assert answer.status_code == 503
        own_redis.start()
        answer = await_that(lambda: (found := booker.book(**KEY)).status_code == 202 and found)
        assert (answer.json["job_id"], answer.headers["Idempotency-Replayed"]) == (job_id, "true")


def test_a_withdrawal_that_nobody_answered_may_have_been_marked(make_app, settings, engine, own_redis):
    """And is told as just that: `line_unavailable` would say that nothing has changed."""
    booker = Booker(make_app(replace(settings, redis_timeout_seconds=1.0)), engine)
    job_id = uuid.UUID(booker.book().json["job_id"])
    line = booker.app.extensions["guichet"].line
    assert line.withdraw(uuid.uuid4()) == "absent"  # from here on Redis knows the script
    (pid,) = own_redis.pids
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(UnavailableError) as error:
            line.withdraw(job_id)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert error.value.code == "outcome_unknown"
    with connect_redis(own_redis.url) as redis:
        await_that(lambda: redis.hget(keys.job(str(job_id)), "withdrawn") == b"1", what="what was sent")
