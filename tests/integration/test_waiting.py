"""Following a request: a long-poll wakes on the decision, a stream tells the place and closes, lost messages cost
seconds and never an answer.
"""

import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import orjson
import pytest

from api import waiting
from api.stream_tokens import make_stream_token
from api.waiting import DecisionHub
from shared.errors import UnavailableError
from shared.line import keys
from shared.line.status import Question
from shared.models import User
from shared.services import requests as service
from tests.factories import auth_header, make_event, make_user, make_users
from tests.lines import LineDriver, await_that

FOR_EVER = 3600.0


class Waiter:
    """Somebody with a request in the line."""

    def __init__(self, app, user: User, event_id: int) -> None:
        self.app, self.client, self.headers = app, app.test_client(), auth_header(app, user)
        answer = self.client.post(f"/api/bookings/{event_id}/book", json={"tickets": 1}, headers=self.headers)
        assert answer.status_code == 202
        self.job, self.links = answer.json["job_id"], answer.json["links"]

    def status(self, query: str = "", **headers: str):
        path = f"/api/bookings/status/{self.job}{query}"
        return self.app.test_client().get(path, headers={**self.headers, **headers})

    def stream(self, path: str | None = None, **headers: str):
        """The events as they come; comments are None."""
        response = self.app.test_client().get(path or self.links["stream"], headers=headers)
        assert response.status_code == 200, response.text
        assert response.content_type.startswith("text/event-stream")
        return (parse(chunk) for chunk in response.iter_encoded())


def parse(chunk: bytes) -> tuple[str, str, dict] | None:
    if chunk.startswith(b":"):
        return None
    lines = dict(line.split(": ", 1) for line in chunk.decode().splitlines() if line)
    return lines["event"], lines["id"], orjson.loads(lines["data"])


@pytest.fixture
def driver(settings, engine) -> Iterator[LineDriver]:
    driver = LineDriver(settings, engine)
    yield driver
    driver.close()


@pytest.fixture
def waiters(app, engine, driver) -> list[Waiter]:
    event = make_event(engine, capacity=1)
    return [Waiter(app, user, event.id) for user in make_users(engine, 3)]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def listens(app, redis_client) -> bool:
    """Whether this API process' hub has subscribed and somebody waits in it."""
    hub = app.extensions["guichet"].hub
    return bool(hub._waiters) and redis_client.pubsub_numsub(keys.DECIDED_CHANNEL)[0][1] == 1


def is_known(hub: DecisionHub) -> bool:
    """Whether everybody in the hub has been looked up."""
    return all(waiter._known for waiting in list(hub._waiters.values()) for waiter in list(waiting))


class TestLongPoll:
    def test_wakes_on_the_decision(self, app, driver, redis_client, waiters, pool, monkeypatch):
        monkeypatch.setattr(waiting, "REREAD_SECONDS", FOR_EVER)  # only the message can wake it
        polling = pool.submit(waiters[0].status, "?wait=30")
        await_that(lambda: listens(app, redis_client), what="the waiter")
        assert not polling.done()
        driver.decide_all()
        assert polling.result(timeout=20).json["status"] == "confirmed"

    @pytest.mark.parametrize("index", [0, 1], ids=["confirmed", "sold out"])
    def test_says_by_message_what_a_poll_says(
        self, app, driver, redis_client, waiters, pool, monkeypatch, index
    ):
        monkeypatch.setattr(waiting, "REREAD_SECONDS", FOR_EVER)
        hub = app.extensions["guichet"].hub
        polling = pool.submit(waiters[index].status, "?wait=30")
        await_that(lambda: listens(app, redis_client) and is_known(hub), what="the first look")
        (waits,) = hub._look_up([(uuid.UUID(waiters[index].job), None)])
        monkeypatch.setattr(hub, "_look_up", lambda asked: [waits] * len(asked))  # only the message tells
        driver.decide_all()
        told, polled = polling.result(timeout=20), waiters[index].status()
        assert told.headers["ETag"] == polled.headers["ETag"]
        assert {**told.json, "links": None} == {**polled.json, "links": None}

    def test_answers_at_once_when_it_is_decided(self, driver, waiters):
        driver.decide_all()
        assert waiters[1].status("?wait=30").json["reason"] == "sold_out"

    def test_tells_the_place_when_the_time_is_over(self, waiters):
        document = waiters[1].status("?wait=1").json
        assert (document["status"], document["position"]) == ("queued", 2)

    def test_survives_a_lost_message(self, app, driver, redis_client, waiters, pool, monkeypatch):
        """Nobody hears the worker: the waiter looks again by itself."""
        monkeypatch.setattr(waiting, "REREAD_SECONDS", 0.2)
        monkeypatch.setattr(DecisionHub, "_wake", lambda *_: None)
        polling = pool.submit(waiters[0].status, "?wait=30")
        await_that(lambda: listens(app, redis_client), what="the waiter")
        driver.decide_all()
        assert polling.result(timeout=20).json["status"] == "confirmed"

    def test_sits_out_a_line_that_does_not_answer(self, app, driver, waiters, pool, monkeypatch):
        """One stall must not send a whole crowd away, to come again at once."""
        monkeypatch.setattr(waiting, "REREAD_SECONDS", 0.05)
        hub, away, failed = app.extensions["guichet"].hub, threading.Event(), threading.Event()
        look_up = hub._look_up

        def look_or_fail(asked: Sequence[Question]) -> object:
            if not away.is_set():
                return look_up(asked)
            failed.set()
            return [UnavailableError("line_unavailable")] * len(asked)

        monkeypatch.setattr(hub, "_look_up", look_or_fail)
        polling = pool.submit(waiters[0].status, "?wait=30")
        await_that(
            lambda: any(one.is_known for ones in list(hub._waiters.values()) for one in ones), what="a look"
        )
        away.set()
        assert failed.wait(20)
        driver.decide_all()
        away.clear()
        answer = polling.result(timeout=40)
        assert (answer.status_code, answer.json["status"]) == (200, "confirmed")

    def test_survives_a_lost_subscription(self, app, driver, redis_client, waiters, pool, monkeypatch):
        monkeypatch.setattr(waiting, "REREAD_SECONDS", FOR_EVER)
        monkeypatch.setattr(waiting, "RECONNECT_SECONDS", 0.01)
        polling = pool.submit(waiters[0].status, "?wait=30")
        await_that(lambda: listens(app, redis_client), what="the waiter")
        redis_client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        driver.decide_all()
        assert polling.result(timeout=20).json["status"] == "confirmed"

    def test_leaves_no_waiter_behind(self, app, waiters):
        waiters[0].status("?wait=1")
        hub = app.extensions["guichet"].hub
        assert [*hub._waiters, *hub._due, *hub._late] == []

    def test_prefers_wait_on_booking_too(self, app, engine, driver, redis_client, pool, monkeypatch):
        monkeypatch.setattr(waiting, "REREAD_SECONDS", FOR_EVER)
        event, user = make_event(engine), make_user(engine)
        booking = pool.submit(
            app.test_client().post,
            f"/api/bookings/{event.id}/book",
            json={"tickets": 1},
            headers={**auth_header(app, user), "Prefer": "wait=30"},
        )
        await_that(lambda: listens(app, redis_client), what="the waiter")
        driver.decide_all()
        answer = booking.result(timeout=20)
        assert (answer.status_code, answer.headers["Preference-Applied"]) == (201, "wait=30")


class TestPoll:
    def test_who_polls_during_a_look_shares_the_next(self, app, waiters, pool, monkeypatch):
        """Each gets their own answer; a stranger gets none."""
        line, looks, may_answer = app.extensions["guichet"].line, [], threading.Event()
        find_jobs = line.find_jobs

        def find_when_allowed(asked: Sequence[Question]):
            looks.append([str(job_id) for job_id, _ in asked])
            assert may_answer.wait(20)
            return find_jobs(asked)

        monkeypatch.setattr(line, "find_jobs", find_when_allowed)
        statuses = app.extensions["guichet"].statuses
        first = pool.submit(waiters[0].status)
        await_that(lambda: looks, what="the first look")
        rest = [pool.submit(waiter.status) for waiter in waiters[1:]]
        stranger = pool.submit(
            app.test_client().get, f"/api/bookings/status/{waiters[0].job}", headers=waiters[1].headers
        )
        await_that(lambda: len(statuses._line._askers) == 3, what="those behind it")
        may_answer.set()
        assert [polling.result(timeout=20).json["position"] for polling in (first, *rest)] == [1, 2, 3]
        assert stranger.result(timeout=20).status_code == 404
        assert [sorted(asked) for asked in looks] == [
            [waiters[0].job],
            sorted(waiter.job for waiter in waiters),
        ]


class TestList:
    def test_looks_for_many_at_once(self, app, engine, driver, monkeypatch):
        monkeypatch.setattr(service, "JOBS_AT_ONCE", 2)
        user = make_user(engine)
        asked = [Waiter(app, user, make_event(engine).id) for _ in range(3)]
        line, looks = app.extensions["guichet"].line, []
        find_jobs = line.find_jobs
        monkeypatch.setattr(line, "find_jobs", lambda jobs: looks.append(len(jobs)) or find_jobs(jobs))
        answer = app.test_client().get("/api/bookings/requests", headers=asked[0].headers)
        assert [item["job_id"] for item in answer.json["items"]] == [each.job for each in reversed(asked)]
        assert looks == [2, 1]


class TestStream:
    def test_tells_the_place_then_the_decision_and_closes(self, driver, waiters):
        events = waiters[1].stream()
        kind, event_id, document = next(events)
        assert (kind, event_id, document["position"]) == ("position", "position-2", 2)
        driver.decide_all()
        rest = [event for event in events if event is not None]
        assert [(kind, event_id) for kind, event_id, _ in rest] == [("decided", "decided")]
        assert rest[0][2]["reason"] == "sold_out"

    def test_tells_a_new_place(self, settings, engine, waiters):
        single = LineDriver(replace(settings, batch_max=1), engine)
        events = waiters[2].stream()
        assert next(events)[1] == "position-3"
        single.claim()
        partition = next(p for p, depth in depths(single).items() if depth)
        single.decide(partition)
        assert next(event for event in events if event is not None)[1] == "position-2"
        events.close()
        single.close()

    def test_goes_on_where_it_was_cut(self, driver, waiters):
        events = waiters[1].stream(**{"Last-Event-ID": "position-2"})
        assert next(events) is None  # a comment: nothing new
        driver.decide_all()
        assert [event[0] for event in events if event is not None] == ["decided"]
        again = waiters[1].client.get(waiters[1].links["stream"], headers={"Last-Event-ID": "decided"})
        assert (again.status_code, again.data) == (204, b"")  # what makes an EventSource stop asking

    def test_needs_the_token_of_its_job(self, app, waiters):
        path = f"/api/bookings/status/{waiters[0].job}/stream"
        client, secret = app.test_client(), app.extensions["guichet"].settings.secret_key
        other = waiters[1].links["stream"].split("token=")[1]
        expired = make_stream_token(secret, uuid.UUID(waiters[0].job), now=time.time() - 601)
        for token in (other, expired, "x", ""):
            answer = client.get(f"{path}?token={token}")
            assert (answer.status_code, answer.json["code"]) == (401, "unauthenticated")
        assert client.get(path).status_code == 401

    def test_a_stream_token_opens_nothing_else(self, app, waiters):
        token = waiters[0].links["stream"].split("token=")[1]
        client = app.test_client()
        assert client.get(f"/api/bookings/status/{waiters[0].job}?token={token}").status_code == 401
        bearer = {"Authorization": f"Bearer {token}"}
        assert client.get(f"/api/bookings/status/{waiters[0].job}", headers=bearer).status_code == 401

    def test_opens_with_an_access_token_too(self, driver, waiters):
        driver.decide_all()
        path = f"/api/bookings/status/{waiters[0].job}/stream"
        assert [event[0] for event in waiters[0].stream(path, **waiters[0].headers)] == ["decided"]

    def test_of_a_job_that_nobody_has_is_not_found(self, app, waiters):
        job = uuid.uuid4()
        token = make_stream_token(app.extensions["guichet"].settings.secret_key, job)
        assert app.test_client().get(f"/api/bookings/status/{job}/stream?token={token}").status_code == 404


def depths(driver: LineDriver) -> dict[int, int]:
    return {partition: driver.redis.llen(keys.queue(partition)) for partition in driver.session.held}


class TestEtag:
    def test_saves_who_knows_the_answer_its_body(self, driver, waiters):
        driver.decide_all()
        first = waiters[0].status()
        again = waiters[0].status(**{"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]

    @pytest.mark.parametrize("known", ['"x", {}', "W/{}", "*"])
    def test_is_known_however_it_is_said(self, waiters, known):
        tag = waiters[0].status().headers["ETag"]
        assert waiters[0].status(**{"If-None-Match": known.format(tag)}).status_code == 304
        assert waiters[0].status(**{"If-None-Match": '"x", W/"y"'}).status_code == 200

    def test_is_the_same_while_nothing_changes_and_another_after_the_decision(self, driver, waiters):
        queued = waiters[1].status()
        tag = {"If-None-Match": queued.headers["ETag"]}
        assert waiters[1].status(**tag).status_code == 304
        driver.decide_all()
        decided = waiters[1].status(**tag)
        assert (decided.status_code, decided.json["status"]) == (200, "rejected")

    def test_is_the_same_from_redis_and_from_the_ledger(self, driver, waiters, redis_client):
        driver.decide_all()
        from_redis = waiters[0].status()
        redis_client.delete(keys.job(waiters[0].job))
        tag = {"If-None-Match": from_redis.headers["ETag"]}
        assert waiters[0].status(**tag).status_code == 304
