"""Following a request: a long-poll wakes on the decision, a stream tells the place and closes, lost messages cost
seconds and never an answer.
"""

import contextlib
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import orjson
import pytest

from api import waiting
from api.stream_tokens import make_stream_token
from api.waiting import DecisionHub
from shared.errors import NotFoundError, UnavailableError
from shared.line import keys
from shared.line.client import make_redis
from shared.line.status import Question
from shared.models import User
from shared.services.requests import RequestStatus
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


class TestLongPoll:
    def test_wakes_on_the_decision(self, app, driver, redis_client, waiters, pool, monkeypatch):
        monkeypatch.setattr(waiting, "REREAD_SECONDS", FOR_EVER)  # only the message can wake it
        polling = pool.submit(waiters[0].status, "?wait=30")
        await_that(lambda: listens(app, redis_client), what="the waiter")
        assert not polling.done()
        driver.decide_all()
        assert polling.result(timeout=20).json["status"] == "confirmed"

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

    def test_survives_a_lost_subscription(self, app, driver, redis_client, waiters, pool, monkeypatch):
        monkeypatch.setattr(waiting, "REREAD_SECONDS", FOR_EVER)
        monkeypatch.setattr(waiting, "RECONNECT_SECONDS", 0.01)
        polling = pool.submit(waiters[0].status, "?wait=30")
        await_that(lambda: listens(app, redis_client), what="the waiter")
        redis_client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        driver.decide_all()
        assert polling.result(timeout=20).json["status"] == "confirmed"

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


class Ledger:
    """What the hub's reader is answered, and what it asked."""

    def __init__(self) -> None:
        self.looks: list[list[Question]] = []
        self.decided: set[uuid.UUID] = set()

    def look_up(self, asked: Sequence[Question]) -> list[RequestStatus]:
        self.looks.append(list(asked))
        return [status_of(job_id, decided=job_id in self.decided) for job_id, _ in asked]


def status_of(job_id: uuid.UUID, *, decided: bool, position: int = 1) -> RequestStatus:
    return RequestStatus(
        job_id=job_id,
        kind="book",
        event_id=1,
        user_id=1,
        tickets=1,
        arrival=1,
        accepted_at="2026-01-01T00:00:00.000000Z",
        position=None if decided else position,
        result={"outcome": "confirmed"} if decided else None,
    )


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def hub(settings, ledger) -> Iterator[DecisionHub]:
    hub = DecisionHub(make_redis(settings.redis_url), ledger.look_up)
    yield hub
    hub.close()


class TestHub:
    def test_misses_nothing_that_happens_before_it_listens(self, hub, ledger, pool, monkeypatch):
        """The first waiter of a process is looked up before the subscription stands; a message in between is lost."""
        monkeypatch.setattr(waiting, "REREAD_SECONDS", FOR_EVER)
        may_listen, listen, job_id = threading.Event(), DecisionHub._listen, uuid.uuid4()

        def listen_late(hub: DecisionHub) -> None:
            may_listen.wait(20)
            listen(hub)

        monkeypatch.setattr(DecisionHub, "_listen", listen_late)
        with hub.waiter(job_id, None) as waiter:
            polling = pool.submit(waiter.wait, 30)
            await_that(lambda: ledger.looks, what="the first look")
            ledger.decided.add(job_id)
            may_listen.set()
            assert polling.result(timeout=20).is_decided

    def test_notices_what_is_decided_while_it_is_not_subscribed(
        self, hub, ledger, redis_client, pool, monkeypatch
    ):
        """Cut off, it hears nothing until it has subscribed again; then everybody is looked up once more."""
        monkeypatch.setattr(waiting, "REREAD_SECONDS", FOR_EVER)
        monkeypatch.setattr(waiting, "RECONNECT_SECONDS", 0)
        listen, may_listen, cut_off = DecisionHub._listen, threading.Event(), threading.Event()
        may_listen.set()

        def listen_when_allowed(hub: DecisionHub) -> None:
            if not may_listen.is_set():
                cut_off.set()
                may_listen.wait(20)
            listen(hub)

        monkeypatch.setattr(DecisionHub, "_listen", listen_when_allowed)
        job_id = uuid.uuid4()
        with hub.waiter(job_id, None) as waiter:
            polling = pool.submit(waiter.wait, 30)
            await_that(lambda: subscribers(redis_client) == 1, what="the subscription")
            may_listen.clear()
            redis_client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            assert cut_off.wait(20)
            looks = len(ledger.looks)
            ledger.decided.add(job_id)
            redis_client.publish(keys.DECIDED_CHANNEL, str(job_id))  # to nobody
            may_listen.set()
            assert polling.result(timeout=20).is_decided
            assert len(ledger.looks) >= looks

    def test_keeps_no_waiter(self, app, waiters):
        waiters[0].status("?wait=1")
        hub = app.extensions["guichet"].hub
        assert [*hub._waiters, *hub._due, *hub._late] == []

    def test_keeps_no_waiter_that_met_an_error(self, hub):
        with pytest.raises(ZeroDivisionError), hub.waiter(uuid.uuid4(), None):
            raise ZeroDivisionError
        assert [*hub._waiters, *hub._due, *hub._late] == []

    def test_looks_up_only_whose_job_it_is(self, hub, ledger, redis_client, monkeypatch):
        monkeypatch.setattr(waiting, "REREAD_SECONDS", FOR_EVER)
        mine, other, probe = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
        with (
            hub.waiter(mine, None) as one,
            hub.waiter(mine, None) as two,
            hub.waiter(other, None) as three,
            hub.waiter(probe, None),
        ):
            await_that(lambda: subscribers(redis_client) == 1, what="the subscription")
            await_that(lambda: asked_of(ledger).count(probe) >= 1, what="the first look")
            # Messages are heard in order: whoever is looked up for this one has been for the subscription.
            redis_client.publish(keys.DECIDED_CHANNEL, str(probe))
            await_that(lambda: asked_of(ledger).count(probe) >= 2, what="a look for the message, or for both")
            ledger.decided |= {mine, other}
            del ledger.looks[:]
            redis_client.publish(keys.DECIDED_CHANNEL, f"{uuid.uuid4()},{mine}")
            assert one.wait(20).is_decided
            assert two.wait(20).is_decided
            assert three.wait(0) is None
            assert set(asked_of(ledger)) - {probe} == {mine}

    def test_asks_for_many_at_once(self, hub, ledger, monkeypatch):
        """A crowd costs a round trip for each hundred, and hears of nothing that is no news."""
        monkeypatch.setattr(DecisionHub, "_start", lambda _: None)
        monkeypatch.setattr(waiting, "LOOKS_AT_ONCE", 3)
        jobs = [uuid.uuid4() for _ in range(7)]
        with contextlib.ExitStack() as stack:
            crowd = [stack.enter_context(hub.waiter(job, None)) for job in jobs]
            hub.look_once()
            assert [len(asked) for asked in ledger.looks] == [3, 3, 1]
            assert [waiter.wait(0) for waiter in crowd] == [None] * 7
            hub.look_once()
            assert len(ledger.looks) == 3  # nobody's turn
            ledger.decided.add(jobs[5])
            hub._wake([str(jobs[5])])
            hub.look_once()
            assert ledger.looks[3:] == [[(jobs[5], None)]]
            assert [index for index, waiter in enumerate(crowd) if waiter.wait(0)] == [5]

    def test_looks_first_for_those_of_whom_there_is_word(self, hub, ledger, monkeypatch):
        """However many places are to be looked for: nobody waits for them who has been decided."""
        monkeypatch.setattr(DecisionHub, "_start", lambda _: None)
        monkeypatch.setattr(waiting, "LOOKS_AT_ONCE", 2)
        now = [1000.0]
        monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: now[0]))
        jobs = [uuid.uuid4() for _ in range(4)]
        with contextlib.ExitStack() as stack:
            for job in jobs:
                stack.enter_context(hub.waiter(job, None, every=2.0))
            hub.look_once()
            del ledger.looks[:]
            now[0] += 3
            hub._wake([str(jobs[3])])
            hub.look_once()
        assert asked_of(ledger)[0] == jobs[3]
        assert sorted(asked_of(ledger)) == sorted(jobs)  # each once

    def test_looks_again_in_time_whatever_it_met(self, hub, ledger, monkeypatch):
        """Neither errors nor the absence of news may turn waiting into spinning, or end it."""
        monkeypatch.setattr(DecisionHub, "_start", lambda _: None)
        now = [1000.0]
        monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: now[0]))
        answers = [UnavailableError("line_unavailable"), None]
        monkeypatch.setattr(hub, "_look_up", lambda asked: [answers.pop(0) for _ in asked])
        with hub.waiter(uuid.uuid4(), None, every=2.0) as waiter:
            hub.look_once()
            hub.look_once()
            now[0] += 1.9
            hub.look_once()
            assert len(answers) == 1
            with pytest.raises(UnavailableError):
                waiter.wait(0)
            now[0] += 0.5
            hub.look_once()
            with pytest.raises(NotFoundError):
                waiter.wait(0)

    def test_goes_on_after_a_mistake(self, hub, ledger, monkeypatch):
        monkeypatch.setattr(waiting, "REREAD_SECONDS", 0.01)
        monkeypatch.setattr(waiting, "TURN_SECONDS", 0.01)
        look_up, mistakes = hub._look_up, [1, 2]

        def stumble(asked: Sequence[Question]) -> list[RequestStatus]:
            if mistakes:
                mistakes.pop()
                raise RuntimeError("a mistake")
            return look_up(asked)

        monkeypatch.setattr(hub, "_look_up", stumble)
        job_id = uuid.uuid4()
        ledger.decided.add(job_id)
        with hub.waiter(job_id, None) as waiter:
            assert waiter.wait(20).is_decided

    def test_tells_a_place_once_and_only_who_wants_it(self, hub, monkeypatch):
        monkeypatch.setattr(DecisionHub, "_start", lambda _: None)
        places = [3, 3, 2]
        monkeypatch.setattr(
            hub,
            "_look_up",
            lambda asked: [status_of(job, decided=False, position=places[0]) for job, _ in asked],
        )
        job_id, told = uuid.uuid4(), []
        with hub.waiter(job_id, None, place=4) as curious, hub.waiter(job_id, None) as patient:
            while places:
                hub._wake([str(job_id)])
                hub.look_once()
                told.append((curious.wait(0), patient.wait(0)))
                places.pop(0)
        assert [(found and found.position, patient) for found, patient in told] == [
            (3, None),
            (None, None),
            (2, None),
        ]


def subscribers(redis_client) -> int:
    return redis_client.pubsub_numsub(keys.DECIDED_CHANNEL)[0][1]


def asked_of(ledger: Ledger) -> list[uuid.UUID]:
    return [job_id for asked in ledger.looks for job_id, _ in asked]


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
