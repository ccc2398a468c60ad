"""A crowd is told by who finds the decisions, before the first of them goes on; and nobody is told twice."""

import contextlib
import gc
import threading
import uuid
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import orjson
import pytest
from werkzeug.test import EnvironBuilder

from api import event_streams, express, line_responses, waiting
from api.gunicorn_answers import OFFERS
from api.waiting import DecisionHub
from shared.errors import GuichetError
from shared.line.messages import read_message
from tests.factories import auth_header, make_event, make_user
from tests.hubs import MINE, RESULT, message_of
from tests.lanes import described
from tests.lines import LineDriver, await_that

READER = "status-reader"


@pytest.fixture
def driver(settings, engine) -> Iterator[LineDriver]:
    driver = LineDriver(settings, engine)
    yield driver
    driver.close()


class TestTheReader:
    @pytest.fixture(autouse=True)
    def still(self, monkeypatch) -> None:
        monkeypatch.setattr(DecisionHub, "_start", lambda _: None)

    @pytest.fixture
    def seen(self) -> list[str]:
        return []

    @pytest.fixture
    def crowd(self, hub, seen, monkeypatch) -> Iterator[Callable[[int], list[uuid.UUID]]]:
        """So many who wait and were looked up; `seen` has what becomes of them, in order."""
        with contextlib.ExitStack() as stack:

            def join(count: int) -> list[uuid.UUID]:
                jobs = [uuid.uuid4() for _ in range(count)]
                for number, job in enumerate(jobs):
                    waiter = stack.enter_context(
                        hub.waiter(job, None, deliver=_noting(seen, f"told {number}"))
                    )
                    monkeypatch.setattr(type(waiter), "wake", lambda waiter: seen.append("goes on"))
                hub.look_once()
                return jobs

            yield join

    def test_tells_everybody_before_anybody_goes_on(self, hub, crowd, seen, monkeypatch):
        monkeypatch.setattr(waiting, "LOOKS_AT_ONCE", 2)
        hub._wake(read_message(message_of(*crowd(5))))
        hub.look_once()
        assert seen == [f"told {number}" for number in range(5)] + ["goes on"] * 5

    def test_lets_those_go_on_who_were_told_long_ago(self, hub, crowd, seen, monkeypatch):
        """However much there is to tell, nobody who was told waits for the end of it."""
        monkeypatch.setattr(waiting, "LOOKS_AT_ONCE", 1)
        now = [1000.0]
        jobs = crowd(4)
        monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=lambda _: None))

        def take_time() -> None:
            now[0] += waiting.HELD_SECONDS * 0.7

        monkeypatch.setattr(hub, "_read_messages", _with(hub._read_messages, take_time))
        hub._wake(read_message(message_of(*jobs)))
        hub.look_once()
        assert seen == ["told 0", "told 1", "told 2", "goes on", "told 3", "goes on", "goes on", "goes on"]

    def test_turns_to_who_is_decided_while_others_go_on(self, hub, crowd, seen, monkeypatch):
        jobs = crowd(4)
        hub._wake(read_message(message_of(*jobs[:2])))

        def wake_and_hear(_waiter: object) -> None:
            seen.append("goes on")
            if "told 2" not in seen:
                hub._wake(read_message(message_of(*jobs[2:])))

        monkeypatch.setattr("api.waiter.Waiter.wake", wake_and_hear)
        hub.look_once()
        assert seen == ["told 0", "told 1", "goes on", "told 2", "told 3", "goes on", "goes on", "goes on"]

    @pytest.mark.parametrize("fails", [True, False])
    def test_leaves_to_who_waits_what_it_cannot_deliver(self, hub, fails):
        def deliver(_status: object) -> bool:
            if fails:
                raise ZeroDivisionError
            return False

        job, other = uuid.uuid4(), uuid.uuid4()
        with hub.waiter(job, None, deliver=deliver) as waiter, hub.waiter(other, None) as another:
            hub.look_once()
            hub._wake(read_message(message_of(job, other)))
            hub.look_once()
            assert waiter.wait(0).is_decided
            assert not waiter.is_told
            assert another.wait(0).is_decided

    def test_tells_nobody_twice(self, hub, crowd, seen, monkeypatch):
        """A worker that takes over tells again, and looks find what messages have told."""
        monkeypatch.setattr(waiting, "LOOKS_AT_ONCE", 1)
        jobs = crowd(2)
        again = read_message(message_of(jobs[0]))
        monkeypatch.setattr(
            hub, "_read_messages", _with(hub._read_messages, lambda: hub._wake(again), times=3)
        )
        hub._wake(read_message(message_of(*jobs)))
        hub.look_once()
        assert seen == ["told 0", "told 1", "goes on", "goes on"]

    def test_delivers_no_errors(self, hub, hub_ledger):
        told: list[str] = []
        hub_ledger.revoked.add(MINE)
        with hub.waiter(uuid.uuid4(), MINE, deliver=_noting(told, "told")) as waiter:
            hub.look_once()
            hub._wake(read_message(message_of(waiter.question[0])))
            hub.look_once()
            with pytest.raises(GuichetError, match="unauthenticated"):
                waiter.wait(0)
        assert told == []

    def test_delivers_nothing_to_who_has_left(self, hub, monkeypatch):
        """They left while they were looked up, and answer for themselves."""
        told: list[str] = []
        with contextlib.ExitStack() as stack:
            waiter = stack.enter_context(hub.waiter(uuid.uuid4(), None, deliver=_noting(told, "told")))
            hub.look_once()
            monkeypatch.setattr(hub, "_read_messages", _with(hub._read_messages, stack.close, after=True))
            hub._wake(read_message(message_of(waiter.question[0])))
            hub.look_once()
        assert (told, waiter.is_told) == ([], False)


class TestALongPoll:
    @pytest.mark.parametrize("what", ["poll", "book"])
    def test_is_answered_by_the_reader_as_by_oneself(self, app, engine, driver, what):
        """The very same answer: only who sends it differs."""
        event = make_event(engine, capacity=50).id
        answers = []
        for offers in ({}, {OFFERS: True}):
            client = app.test_client()
            client.environ_base.update(offers)
            user = auth_header(app, make_user(engine))
            client.post(f"/api/bookings/{event}/book", headers=auth_header(app, make_user(engine)))
            senders: list[str] = []
            with _noting_senders(senders), ThreadPoolExecutor(1) as pool:
                asked = pool.submit(_ask_and_wait, client, what, event, user)
                await_that(
                    lambda: len(app.extensions["guichet"].hub._waiters) == 1, what="somebody who waits"
                )
                driver.decide_all()
                answers.append(asked.result(timeout=20))
            assert [READER in senders] == [bool(offers)]
        assert described(answers[0]) == described(answers[1])
        assert answers[0].json["status"] == "confirmed"
        assert app.extensions["guichet"].hub._waiters == {}

    def test_whose_event_is_not_in_memory_is_answered_by_oneself(self, app, engine, driver, monkeypatch):
        """The reader waits for no database."""
        client, user = app.test_client(), auth_header(app, make_user(engine))
        client.environ_base[OFFERS] = True
        event = make_event(engine).id
        monkeypatch.setattr(app.extensions["guichet"].snapshots, "is_known", lambda _: False)
        senders: list[str] = []
        with _noting_senders(senders), ThreadPoolExecutor(1) as pool:
            asked = pool.submit(_ask_and_wait, client, "poll", event, user)
            await_that(lambda: len(app.extensions["guichet"].hub._waiters) == 1, what="somebody who waits")
            driver.decide_all()
            assert asked.result(timeout=20).json["status"] == "confirmed"
        assert READER not in senders

    def test_whose_client_has_gone_is_nobodys_trouble(self, app, engine, driver, caplog):
        environ = {OFFERS: True}
        client, user = app.test_client(), auth_header(app, make_user(engine))
        event = make_event(engine).id

        def gone(_data: bytes) -> None:
            raise BrokenPipeError

        original = app.wsgi_app
        app.wsgi_app = lambda environ, start: original(environ, lambda *said: start(*said) and gone)
        try:
            with ThreadPoolExecutor(1) as pool:
                job = client.post(f"/api/bookings/{event}/book", headers=user).json["job_id"]
                asked = pool.submit(_poll, client, job, user, environ)
                await_that(
                    lambda: len(app.extensions["guichet"].hub._waiters) == 1, what="somebody who waits"
                )
                driver.decide_all()
                assert asked.result(timeout=20).data == b""
        finally:
            app.wsgi_app = original
        assert [record for record in caplog.records if record.levelname == "ERROR"] == []

    def test_that_has_waited_long_enough_is_answered_once(self, app, engine, monkeypatch):
        """The decision is found while the time runs out: one of the two answers."""
        client, user = app.test_client(), auth_header(app, make_user(engine))
        event = make_event(engine).id
        hub = app.extensions["guichet"].hub
        job = client.post(f"/api/bookings/{event}/book", headers=user).json["job_id"]
        wait = type(hub.waiter(uuid.UUID(job), None)).wait

        def told_at_the_last_moment(waiter: object, seconds: float) -> object:
            found = wait(waiter, seconds)
            waiter.tell(waiter._known.decided(RESULT))
            return found

        monkeypatch.setattr("api.waiter.Waiter.wait", told_at_the_last_moment)
        answer = client.get(
            f"/api/bookings/status/{job}?wait=1", headers=user, environ_overrides={OFFERS: True}
        )
        assert orjson.loads(answer.data)["status"] == "confirmed"

    @pytest.mark.parametrize("what", ["poll", "book"])
    def test_leaves_nothing_to_look_for(self, app, engine, driver, monkeypatch, what):
        """An exchange that could be answered by others is gone with its answer, without a search for garbage."""
        kept: list[weakref.ref[object]] = []

        class Noted(express.Exchange):
            def __init__(self) -> None:
                kept.append(weakref.ref(self))

        monkeypatch.setattr(express, "Exchange", Noted)
        client, user = app.test_client(), auth_header(app, make_user(engine))
        client.environ_base[OFFERS] = True
        gc.disable()
        try:
            with ThreadPoolExecutor(1) as pool:
                asked = pool.submit(_ask_and_wait, client, what, make_event(engine).id, user)
                await_that(
                    lambda: len(app.extensions["guichet"].hub._waiters) == 1, what="somebody who waits"
                )
                driver.decide_all()
                assert asked.result(timeout=20).json["status"] == "confirmed"
            assert [exchange() for exchange in kept] == [None] * len(kept) != []
        finally:
            gc.enable()


class TestAStream:
    @pytest.fixture
    def followed(self, app, engine, driver, monkeypatch) -> Iterator[SimpleNamespace]:
        """Somebody second in line who follows by a stream that others may write to, and what came out of it."""
        monkeypatch.setattr(event_streams, "POSITION_SECONDS", 0.01)
        container = app.extensions["guichet"]
        event = make_event(engine).id
        users = [auth_header(app, make_user(engine)) for _ in range(2)]
        jobs = [
            app.test_client().post(f"/api/bookings/{event}/book", headers=user).json["job_id"]
            for user in users
        ]
        status = container.statuses.get(uuid.UUID(jobs[1]), None)
        events = event_streams.StatusEvents(container, status, None, "")
        found = SimpleNamespace(events=events, jobs=jobs, heard=[], driver=driver)
        events.offer_by(lambda piece: found.heard.append((threading.current_thread().name, piece)))

        def follow() -> None:
            for piece in events:
                found.heard.append(("itself", piece))

        with ThreadPoolExecutor(1) as pool:
            found.following = pool.submit(follow)
            await_that(lambda: events._rests, what="somebody who waits")
            yield found
            found.following.result(timeout=20)

    def test_is_written_to_by_the_reader(self, followed):
        followed.driver.decide_all()
        followed.following.result(timeout=20)
        assert [_event_of(piece) for _, piece in followed.heard] == ["position-2", "decided"]
        assert [who for who, _ in followed.heard] == ["itself", READER]

    def test_lets_others_write_to_what_the_server_gives(self, app, engine, driver, client):
        user = auth_header(app, make_user(engine))
        job = client.post(f"/api/bookings/{make_event(engine).id}/book", headers=user).json["job_id"]
        environ = EnvironBuilder(f"/api/bookings/status/{job}/stream", headers=user).get_environ()
        written: list[bytes] = []
        pieces = iter(app({**environ, OFFERS: True}, lambda _status, _headers: written.append))
        assert _event_of(next(pieces)) == "position-1"
        with ThreadPoolExecutor(1) as pool:
            rest = pool.submit(list, pieces)
            driver.decide_all()
            assert rest.result(timeout=20) == []
        assert [_event_of(piece) for piece in written] == ["decided"]

    def test_that_tells_a_decision_makes_the_events_pages_new(self, app, followed):
        container = app.extensions["guichet"]
        event_id = followed.events._status.event_id
        before = container.stamps.of_event(event_id)
        followed.driver.decide_all()
        followed.following.result(timeout=20)
        assert container.stamps.of_event(event_id) != before

    def test_is_told_of_places_without_waking(self, app, followed, monkeypatch):
        hub = app.extensions["guichet"].hub
        look_up = hub._look_up
        monkeypatch.setattr(
            hub, "_look_up", lambda asked: [replace(look, position=1) for look in look_up(asked)]
        )
        await_that(lambda: len(followed.heard) == 2, what="the new place")
        monkeypatch.setattr(hub, "_look_up", look_up)
        followed.driver.decide_all()
        followed.following.result(timeout=20)
        assert [(who, _event_of(piece)) for who, piece in followed.heard] == [
            ("itself", "position-2"),
            (READER, "position-1"),
            (READER, "decided"),
        ]

    def test_that_is_in_the_middle_of_a_piece_says_it_first(self, followed):
        followed.events._rests = False
        followed.driver.decide_all()
        followed.following.result(timeout=20)
        assert [(who, _event_of(piece)) for who, piece in followed.heard] == [
            ("itself", "position-2"),
            ("itself", "decided"),
        ]


def _noting(seen: list[str], what: str) -> Callable[[object], bool]:
    def deliver(_status: object) -> bool:
        seen.append(what)
        return True

    return deliver


def _with(
    function: Callable[..., object], also: Callable[[], object], *, after: bool = False, times: int = 100
) -> Callable[..., object]:
    """`function`, and another before or after it, the first so many times."""
    left = iter(range(times))

    def both(*arguments: object) -> object:
        if next(left, None) is None:
            return function(*arguments)
        if not after:
            also()
        found = function(*arguments)
        if after:
            also()
        return found

    return both


@contextlib.contextmanager
def _noting_senders(senders: list[str]) -> Iterator[None]:
    """Which thread makes answers."""
    made = line_responses.read_document

    def note(*arguments: object, **options: object) -> object:
        senders.append(threading.current_thread().name)
        return made(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("api.line_responses.read_document", note)
        patch.setattr("api.status_replies.read_document", note)
        yield


def _ask_and_wait(client, what: str, event: int, user: dict[str, str]):
    path = f"/api/bookings/{event}/book"
    if what == "book":
        return client.post(path, headers={**user, "Prefer": "wait=20"})
    return _poll(client, client.post(path, headers=user).json["job_id"], user, {})


def _poll(client, job: str, user: dict[str, str], environ: dict[str, object]):
    return client.get(f"/api/bookings/status/{job}?wait=20", headers=user, environ_overrides=environ)


def _event_of(piece: bytes) -> str:
    return piece.split(b"\n", 1)[0].removeprefix(b"id: ").decode()
