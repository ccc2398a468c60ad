"""The express lane answers what Flask's view would answer, and leaves everything unusual to it."""

import gzip
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import request, request_started
from werkzeug.test import TestResponse

from shared.line.connections import NoConnectionError
from tests.factories import auth_header, make_event, make_user
from tests.lanes import PAST_THE_LANE, Somebody, described


@pytest.fixture
def seen_by_flask(app) -> Iterator[list[str]]:
    """The addresses of the requests that Flask began to answer."""
    seen: list[str] = []

    def note(_app: object, **_about: object) -> None:
        seen.append(request.path)

    with request_started.connected_to(note, app):
        yield seen


@pytest.fixture
def somebody(app, engine, seen_by_flask) -> Somebody:
    return Somebody(app, engine, seen_by_flask)


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch) -> None:
    """Other tests' bodies."""
    monkeypatch.setattr("api.parsing._KNOWN", {})


@pytest.fixture
def event(engine, client, app, somebody) -> int:
    """One whose bodies have been seen before."""
    event_id = int(make_event(engine, capacity=100).id)
    learner = auth_header(app, make_user(engine))
    for body in ({}, {"tickets": 1}, {"tickets": 5}, {"tickets": 2, "waitlist": True}):
        client.post(f"/api/bookings/{event_id}/book", json=body, headers=learner)
        client.post("/api/bookings", json={"event_id": event_id, **body}, headers=learner)
    client.post(f"/api/bookings/{event_id}/book", headers=learner)
    return event_id


class TestBooking:
    @pytest.mark.parametrize(
        "body", [None, {}, {"tickets": 1}, {"tickets": 5}, {"tickets": 2, "waitlist": True}]
    )
    def test_stands_in_line_alike(self, client, somebody, event, body):
        answer = somebody.both(
            lambda headers: client.post(f"/api/bookings/{event}/book", json=body, headers=headers)
        )
        assert answer.status_code == 202
        assert answer.json["tickets"] == (body or {}).get("tickets", 1)

    def test_may_name_its_event_in_the_body(self, client, somebody, event):
        body = {"event_id": event, "tickets": 5}
        answer = somebody.both(lambda headers: client.post("/api/bookings", json=body, headers=headers))
        assert (answer.status_code, answer.json["event_id"]) == (202, event)

    def test_may_register(self, client, somebody, event):
        answer = somebody.both(
            lambda headers: client.post(
                f"/api/events/{event}/register", json={"tickets": 1}, headers={**headers, "Prefer": "wait=0"}
            )
        )
        assert (answer.status_code, answer.json["status"]) == (202, "queued")

    @pytest.mark.parametrize("prefer", ["wait=0", "wait=1", "respond-async", "wait=x"])
    def test_waits_alike(self, client, somebody, event, prefer):
        answer = somebody.both(
            lambda headers: client.post(
                f"/api/bookings/{event}/book", json={"tickets": 1}, headers={**headers, "Prefer": prefer}
            )
        )
        assert answer.headers.get("Preference-Applied") == ("wait=1" if prefer == "wait=1" else None)

    def test_is_told_alike_what_was_decided_meanwhile(self, client, somebody, event, driver):
        def book_twice(headers: dict[str, str]) -> TestResponse:
            with_key = {**headers, "Idempotency-Key": "once"}
            client.post(f"/api/bookings/{event}/book", headers=with_key)
            driver.decide_all()
            del somebody.seen[:]
            return client.post(f"/api/bookings/{event}/book", headers={**with_key, "Prefer": "wait=1"})

        answer = somebody.both(book_twice)
        assert (answer.status_code, answer.json["status"]) == (201, "confirmed")

    @pytest.mark.parametrize(
        ("fields", "code", "status"),
        [
            ({"sales_paused": True}, "sales_paused", 409),
            ({"status": "cancelled"}, "event_cancelled", 409),
            ({"status": "draft"}, "event_not_found", 404),
            ({"max_per_booking": 2}, "too_many_tickets", 409),
        ],
    )
    def test_is_refused_alike_at_the_door(self, engine, client, somebody, event, fields, code, status):
        other = make_event(engine, **fields).id
        answer = somebody.both(
            lambda headers: client.post(f"/api/bookings/{other}/book", json={"tickets": 5}, headers=headers)
        )
        assert (answer.status_code, answer.json["code"]) == (status, code)

    def test_of_an_event_that_nobody_has_is_refused_alike(self, client, somebody, event):
        answer = somebody.both(lambda headers: client.post("/api/bookings/999999/book", headers=headers))
        assert answer.json["code"] == "event_not_found"

    def test_is_the_same_again_with_its_key(self, client, somebody, event):
        def twice(headers: dict[str, str]) -> TestResponse:
            with_key = {**headers, "Idempotency-Key": "once"}
            first = client.post(f"/api/bookings/{event}/book", headers=with_key)
            del somebody.seen[:]
            again = client.post(f"/api/bookings/{event}/book", headers=with_key)
            assert again.json["job_id"] == first.json["job_id"]
            return again

        assert somebody.both(twice).headers["Idempotency-Replayed"] == "true"

    def test_with_a_key_of_something_else_is_refused_alike(self, client, somebody, event):
        def twice(headers: dict[str, str]) -> TestResponse:
            with_key = {**headers, "Idempotency-Key": "once"}
            client.post(f"/api/bookings/{event}/book", headers=with_key)
            del somebody.seen[:]
            return client.post(f"/api/bookings/{event}/book", json={"tickets": 5}, headers=with_key)

        assert somebody.both(twice).json["code"] == "idempotency_key_reused"

    @pytest.mark.parametrize("key", ["", " ", '""', "x" * 256])
    def test_with_a_key_that_is_none_is_refused_alike(self, client, somebody, event, key):
        answer = somebody.both(
            lambda headers: client.post(
                f"/api/bookings/{event}/book", headers={**headers, "Idempotency-Key": key}
            )
        )
        assert answer.json["code"] == "bad_request"

    def test_with_a_token_that_was_revoked_is_refused_alike(self, client, somebody, event):
        def after_log_out(headers: dict[str, str]) -> TestResponse:
            assert client.post("/api/auth/logout", headers=headers).status_code == 204
            del somebody.seen[:]
            return client.post(f"/api/bookings/{event}/book", headers=headers)

        answer = somebody.both(after_log_out)
        assert answer.status_code == 401
        assert "invalid_token" in answer.headers["WWW-Authenticate"]

    def test_is_refused_alike_when_redis_has_gone(self, client, somebody, event, monkeypatch):
        def gone(*_arguments: object) -> None:
            raise NoConnectionError("none is free")

        connections = somebody.app.extensions["guichet"].line.runner._connections
        monkeypatch.setattr(connections, "acquire", gone)
        answer = somebody.both(lambda headers: client.post(f"/api/bookings/{event}/book", headers=headers))
        assert (answer.status_code, answer.json["code"]) == (503, "line_unavailable")

    def test_is_an_internal_error_alike_when_we_are_wrong(self, client, somebody, event, monkeypatch):
        def wrong(*_arguments: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(somebody.app.extensions["guichet"].line.runner, "run", wrong)
        answer = somebody.both(lambda headers: client.post(f"/api/bookings/{event}/book", headers=headers))
        assert (answer.status_code, answer.json["code"]) == (500, "internal_error")

    def test_counts_in_the_general_tier_when_nobody_has_its_event(
        self, make_app, settings, engine, stopped_rate_clock
    ):
        app = make_app(replace(settings, general_rate_per_minute=3))
        client, user = app.test_client(), auth_header(app, make_user(engine))
        answers = [client.post("/api/bookings/999999/book", headers=user) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [404] * 3 + [429] * 3


class TestPolling:
    @pytest.fixture
    def ask(self, client, event) -> Callable[..., TestResponse]:
        """A poll for a request of one's own."""

        def ask(
            headers: dict[str, str], somebody: Somebody, decide: Callable[[], Any] = lambda: None, **more: str
        ):
            job_id = client.post(f"/api/bookings/{event}/book", headers=headers).json["job_id"]
            decide()
            del somebody.seen[:]
            return client.get(f"/api/bookings/status/{job_id}", headers={**headers, **more})

        return ask

    def test_tells_alike_who_waits(self, ask, somebody):
        answer = somebody.both(lambda headers: ask(headers, somebody))
        assert (answer.status_code, answer.json["status"]) == (200, "queued")

    @pytest.mark.parametrize("seconds", ["0", "1", "01"])
    def test_waits_alike(self, client, event, somebody, seconds):
        def ask(headers: dict[str, str]) -> TestResponse:
            job_id = client.post(f"/api/bookings/{event}/book", headers=headers).json["job_id"]
            del somebody.seen[:]
            return client.get(f"/api/bookings/status/{job_id}?wait={seconds}", headers=headers)

        answer = somebody.both(ask)
        assert (answer.status_code, answer.json["status"]) == (200, "queued")

    def test_tells_alike_what_was_decided(self, ask, somebody, driver):
        answer = somebody.both(lambda headers: ask(headers, somebody, driver.decide_all))
        assert (answer.status_code, answer.json["status"]) == (200, "confirmed")

    @pytest.mark.parametrize("more", [{"Accept-Encoding": "gzip"}, {}])
    def test_compresses_alike_what_is_long(self, client, engine, somebody, driver, more):
        long = make_event(engine, title="\u3042" * 190, venue="\u3044" * 190).id
        client.post(f"/api/bookings/{long}/book", headers=auth_header(somebody.app, make_user(engine)))

        def book_and_poll(headers: dict[str, str]) -> TestResponse:
            job_id = client.post(f"/api/bookings/{long}/book", headers=headers).json["job_id"]
            driver.decide_all()
            del somebody.seen[:]
            answer = client.get(f"/api/bookings/status/{job_id}", headers={**headers, **more})
            if more:
                answer.set_data(gzip.decompress(answer.data))
            return answer

        answer = somebody.both(book_and_poll)
        assert answer.headers["Vary"] == "Authorization, Accept-Encoding"
        assert answer.headers.get("Content-Encoding") == more.get("Accept-Encoding")

    def test_of_who_has_it_already_is_a_304(self, client, event, somebody):
        def twice(headers: dict[str, str]) -> TestResponse:
            job_id = client.post(f"/api/bookings/{event}/book", headers=headers).json["job_id"]
            path = f"/api/bookings/status/{job_id}"
            tag = client.get(path, headers=headers).headers["ETag"]
            del somebody.seen[:]
            return client.get(path, headers={**headers, "If-None-Match": tag})

        answer = somebody.both(twice)
        assert (answer.status_code, answer.data) == (304, b"")

    def test_finds_nothing_alike_where_there_is_nothing(self, client, somebody, event):
        answer = somebody.both(
            lambda headers: client.get(f"/api/bookings/status/{uuid.uuid4()}", headers=headers)
        )
        assert (answer.status_code, answer.json["code"]) == (404, "job_not_found")

    def test_shows_nobody_elses_but_to_admins(self, client, app, engine, event, seen_by_flask):
        owner, other = auth_header(app, make_user(engine)), auth_header(app, make_user(engine))
        admin = auth_header(app, make_user(engine, role="admin"))
        job_id = client.post(f"/api/bookings/{event}/book", headers=owner).json["job_id"]
        del seen_by_flask[:]
        found = [client.get(f"/api/bookings/status/{job_id}", headers=who) for who in (owner, other, admin)]
        assert [answer.status_code for answer in found] == [200, 404, 200]
        assert seen_by_flask == []

    def test_too_often_is_refused_alike(self, make_app, settings, engine, stopped_rate_clock):
        app = make_app(replace(settings, poll_rate_per_second=2))
        client, path = app.test_client(), f"/api/bookings/status/{uuid.uuid4()}"
        answers = {}
        for more in ({}, PAST_THE_LANE):
            headers = {**auth_header(app, make_user(engine)), **more}
            answers[len(more)] = [described(client.get(path, headers=headers)) for _ in range(4)]
        assert answers[0] == answers[1]
        assert [status for status, _, _ in answers[0]] == ["404 NOT FOUND"] * 2 + [
            "429 TOO MANY REQUESTS"
        ] * 2


class TestWhatIsUnusual:
    @pytest.mark.parametrize(
        ("options", "status"),
        [
            ({"query_string": "a=b"}, 202),
            ({"headers": {"Upgrade": "nothing"}}, 202),
            ({"headers": {"Host": "x" * 70 + ".example"}}, 400),
            ({"headers": {"Authorization": "Bearer none"}}, 401),
            ({"headers": {"Authorization": ""}}, 401),
            ({"data": b'{"tickets": 3}', "content_type": "application/json"}, 202),
            ({"data": b'{"tickets":0}', "content_type": "application/json"}, 422),
            ({"data": b"{", "content_type": "application/json"}, 400),
            ({"data": b"{}", "content_type": "text/plain"}, 415),
            ({"data": b"{}" + b" " * 90, "content_type": "application/json"}, 202),
            ({"data": b" " * 70_000, "content_type": "application/json"}, 413),
        ],
    )
    def test_is_left_to_flask(self, client, app, engine, event, seen_by_flask, options, status):
        headers = {**auth_header(app, make_user(engine)), **options.get("headers", {})}
        del seen_by_flask[:]
        answer = client.post(f"/api/bookings/{event}/book", **{**options, "headers": headers})
        assert (answer.status_code, seen_by_flask) == (status, [f"/api/bookings/{event}/book"])

    def test_an_address_that_is_not_quite_it_is_left_to_flask(
        self, client, app, engine, event, seen_by_flask
    ):
        user = auth_header(app, make_user(engine))
        del seen_by_flask[:]
        for path in (f"/api/bookings/{event}/book/", f"/api/bookings/{'0' * 20}{event}/book"):
            assert client.post(path, headers=user).status_code == 202
        assert client.get(f"/api/bookings/{event}/book", headers=user).status_code == 405
        assert client.post(f"/api/bookings/status/{uuid.uuid4()}", headers=user).status_code == 405
        assert len(seen_by_flask) == 4

    @pytest.mark.parametrize("query", ["wait=31", "wait=-1", "wait=1&wait=1", "wait=", "until=1", "wait=%31"])
    def test_a_query_that_is_not_quite_it_is_left_to_flask(
        self, client, app, engine, event, seen_by_flask, query
    ):
        user = auth_header(app, make_user(engine))
        path = f"/api/bookings/status/{uuid.uuid4()}?{query}"
        del seen_by_flask[:]
        assert client.get(path, headers=user).status_code == (404 if "%" in query else 422)
        assert len(seen_by_flask) == 1

    def test_a_body_is_checked_once_and_then_known(self, client, app, engine, event, seen_by_flask):
        del seen_by_flask[:]
        for _ in range(3):
            user = auth_header(app, make_user(engine))
            body = b'{ "tickets" : 4 }'
            answer = client.post(
                f"/api/bookings/{event}/book", data=body, content_type="application/json", headers=user
            )
            assert (answer.status_code, answer.json["tickets"]) == (202, 4)
        assert len(seen_by_flask) == 1

    def test_many_bodies_that_are_made_up_keep_nobody_out(
        self, client, app, engine, event, seen_by_flask, monkeypatch
    ):
        monkeypatch.setattr("api.parsing._KNOWN_MAX", 3)
        user, path = auth_header(app, make_user(engine)), f"/api/bookings/{event}/book"
        for spaces in range(8):
            body = b'{"tickets":' + b" " * spaces + b"9}"
            client.post(path, data=body, content_type="application/json", headers=user)
        del seen_by_flask[:]
        for _ in range(3):
            assert client.post(path, json={"tickets": 1}, headers=user).status_code == 202
        assert len(seen_by_flask) <= 1


class TestCors:
    @pytest.mark.parametrize("origin", [None, "https://tickets.example", "https://else.example"])
    def test_says_the_same_to_browsers(self, make_app, settings, engine, origin):
        app = make_app(replace(settings, cors_origins="https://tickets.example"))
        client, event = app.test_client(), make_event(engine).id
        client.post(f"/api/bookings/{event}/book", headers=auth_header(app, make_user(engine)))
        found = []
        for more in ({}, PAST_THE_LANE):
            headers = {**auth_header(app, make_user(engine)), **more} | ({"Origin": origin} if origin else {})
            booked = client.post(f"/api/bookings/{event}/book", headers=headers)
            polled = client.get(booked.headers["Location"], headers=headers)
            found.append((described(booked), described(polled)))
        assert found[0] == found[1]
        assert "Origin" in found[0][1][1]["Vary"]
