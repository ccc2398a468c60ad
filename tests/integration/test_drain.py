"""An admin drains an event's line: who waits is withdrawn at their place and told why; nobody else notices."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import Engine, text
from werkzeug.test import TestResponse

from scripts.audit import run_audit
from shared.clock import utc_now
from shared.line import keys
from shared.models import Event, User
from tests.factories import auth_header, make_event, make_user, make_users

URL = "/api/admin/queue/drain"
REASON = "The price was wrong."


@pytest.fixture
def people(engine: Engine) -> list[User]:
    return make_users(engine, 6)


@pytest.fixture
def ask(app: Flask, client: FlaskClient) -> Callable[[User, Event], dict[str, Any]]:
    """A booking request that is accepted."""

    def book(user: User, event: Event) -> dict[str, Any]:
        answer = client.post(f"/api/bookings/{event.id}/book", headers=auth_header(app, user))
        assert answer.status_code == 202, answer.text
        document: dict[str, Any] = answer.json
        return document

    return book


@pytest.fixture
def drain(client: FlaskClient, as_admin: dict[str, str]) -> Callable[..., TestResponse]:
    def drain_over_http(event_id: int, headers: dict[str, str] | None = None, **fields: Any) -> TestResponse:
        body = {"event_id": event_id, "reason": REASON, **fields}
        return client.post(URL, json=body, headers={**as_admin, **(headers or {})})

    return drain_over_http


@pytest.fixture
def status(app: Flask, client: FlaskClient) -> Callable[[User, dict[str, Any]], dict[str, Any]]:
    def of(user: User, job: dict[str, Any]) -> dict[str, Any]:
        address = f"/api/bookings/status/{job['job_id']}"
        document: dict[str, Any] = client.get(address, headers=auth_header(app, user)).json
        return document

    return of


def ledger_kinds(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(
            connection.execute(text("select kind from decisions order by event_id, number")).scalars()
        )


def undecided_of(redis_client: Redis, user: User) -> int:
    return int(redis_client.zcount(keys.undecided_by_user(user.id), user.id, user.id))


class TestDrain:
    def test_withdraws_who_waits_and_nobody_who_comes_later(
        self, engine, driver, people, ask, drain, status, redis_client, settings
    ):
        event, other = make_event(engine, capacity=9), make_event(engine)
        early = ask(people[0], event)
        driver.decide_all()
        waiting = [ask(user, event) for user in people[1:4]]
        elsewhere = ask(people[1], other)
        answer = drain(event.id)
        late = ask(people[4], event)

        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.json == {
            "event_id": event.id,
            "up_to_arrival": 4,
            "undecided": 3,
            "dry_run": False,
            "job_id": answer.json["job_id"],
        }
        driver.decide_all()
        for user, job in zip(people[1:4], waiting, strict=True):
            document = status(user, job)
            assert (document["status"], document["reason"]) == ("withdrawn", "withdrawn_by_admin")
            assert document["facts"] == {"admin_reason": REASON}
            assert document["arrival"] == job["arrival"]
            assert document["booking"] is None
            assert undecided_of(redis_client, user) == 0
        assert status(people[0], early)["status"] == "confirmed"
        assert status(people[4], late)["status"] == "confirmed"
        assert status(people[1], elsewhere)["status"] == "confirmed"
        with engine.connect() as connection:
            assert connection.scalar(text("select booked from events where id = :id"), {"id": event.id}) == 2
        tally = run_audit(settings)
        assert tally.ok, tally.findings

    def test_says_the_same_when_redis_has_forgotten(
        self, engine, driver, people, ask, drain, status, redis_client
    ):
        event = make_event(engine)
        job = ask(people[0], event)
        drain(event.id)
        driver.decide_all()
        before = status(people[0], job)
        redis_client.delete(keys.job(job["job_id"]), keys.result(job["job_id"]))
        assert status(people[0], job) == before

    def test_is_a_success_to_who_waits_for_the_decision(
        self, engine, app, client, driver, people, ask, drain
    ):
        """Left the line is what happened, not a refusal of a rule: 200."""
        event = make_event(engine)
        headers = auth_header(app, people[0]) | {"Idempotency-Key": "a"}
        address = f"/api/bookings/{event.id}/book"
        assert client.post(address, headers=headers).status_code == 202
        drain(event.id)
        driver.decide_all()
        answer = client.post(address, headers=headers | {"Prefer": "wait=5"})
        assert (answer.status_code, answer.json["status"]) == (200, "withdrawn")

    def test_leaves_cancellations_in_their_place(
        self, engine, app, client, driver, people, ask, drain, status
    ):
        event = make_event(engine, capacity=2)
        booked = ask(people[0], event)
        driver.decide_all()
        booking = status(people[0], booked)["booking"]["id"]
        before = ask(people[1], event)
        cancel = client.put(
            f"/api/bookings/{booking}/cancel", headers=auth_header(app, people[0]) | {"Prefer": "wait=0"}
        )
        assert cancel.status_code == 202
        after = ask(people[2], event)
        assert drain(event.id).json["undecided"] == 3
        driver.decide_all()
        found = [status(*one) for one in ((people[1], before), (people[0], cancel.json), (people[2], after))]
        assert [one["status"] for one in found] == ["withdrawn", "cancelled", "withdrawn"]
        assert found[1]["available_slots"] == 2

    def test_reaches_who_waits_in_a_pause(self, engine, driver, people, ask, drain, status):
        event = make_event(engine)
        job = ask(people[0], event)
        with engine.begin() as connection:
            connection.execute(text("update line_state set paused = true"))
        assert drain(event.id).json["undecided"] == 1
        driver.claim()
        assert driver.decide(event.id % 8) == "paused"
        assert status(people[0], job)["status"] == "queued"
        with engine.begin() as connection:
            connection.execute(text("update line_state set paused = false"))
        driver.decide_all()
        assert status(people[0], job)["reason"] == "withdrawn_by_admin"

    def test_again_reaches_further(self, engine, driver, people, ask, drain, status):
        event = make_event(engine)
        first = ask(people[0], event)
        drain(event.id)
        second = ask(people[1], event)
        assert drain(event.id, reason="Rain").json["up_to_arrival"] == 2
        third = ask(people[2], event)
        driver.decide_all()
        assert status(people[0], first)["facts"] == {"admin_reason": "Rain"}
        assert status(people[1], second)["facts"] == {"admin_reason": "Rain"}
        assert status(people[2], third)["status"] == "confirmed"


class TestWhatIsWritten:
    def test_a_public_row_without_who(self, engine, client, people, ask, drain):
        event = make_event(engine)
        ask(people[0], event)
        answer = drain(event.id)
        row = client.get(f"/api/events/{event.id}/decisions").json["items"][-1]
        assert row["job_id"] == answer.json["job_id"]
        assert (row["kind"], row["outcome"], row["arrival"], row["reason"]) == ("drain", "done", None, None)
        assert row["facts"] == {
            "up_to_arrival": 1,
            "accepted_until": row["facts"]["accepted_until"],
            "reason": REASON,
        }
        assert "user_id" not in row

    def test_who_and_why_in_the_audit_log(self, engine, people, ask, drain):
        event = make_event(engine)
        ask(people[0], event)
        answer = drain(event.id, headers={"X-Request-ID": "drain-1"})
        with engine.connect() as connection:
            entry = connection.execute(text("select * from audit_log where action = 'event.drain'")).one()
        assert str(entry.job_id) == answer.json["job_id"]
        assert (entry.target_type, entry.target_id) == ("event", str(event.id))
        assert (entry.reason, entry.request_id) == (REASON, "drain-1")
        assert entry.actor_id is not None
        assert entry.changes["up_to_arrival"] == entry.changes["undecided"] == 1

    def test_nothing_in_a_dry_run(self, engine, driver, people, ask, drain, status):
        event = make_event(engine)
        job = ask(people[0], event)
        answer = drain(event.id, dry_run=True)
        assert answer.json == {
            "event_id": event.id,
            "up_to_arrival": 1,
            "undecided": 1,
            "dry_run": True,
            "job_id": None,
        }
        assert ledger_kinds(engine) == ["event_set"]
        driver.decide_all()
        assert status(people[0], job)["status"] == "confirmed"

    def test_nothing_when_nobody_waits(self, engine, driver, people, ask, drain):
        event = make_event(engine)
        for up_to in (0, 1):
            answer = drain(event.id)
            assert answer.status_code == 200
            assert (answer.json["up_to_arrival"], answer.json["undecided"]) == (up_to, 0)
            assert answer.json["job_id"] is None
            ask(people[up_to], event)
            driver.decide_all()
        assert ledger_kinds(engine) == ["event_set", "book", "book"]

    def test_once_for_an_idempotency_key(self, engine, driver, people, ask, drain, status):
        """A repeated request must not take out who came in the meantime."""
        event = make_event(engine)
        ask(people[0], event)
        key = {"Idempotency-Key": "once"}
        first = drain(event.id, key)
        late = ask(people[1], event)
        again = drain(event.id, key)
        assert again.json == first.json
        assert again.headers["Idempotency-Replayed"] == "true"
        assert drain(event.id, key, dry_run=True).json["code"] == "idempotency_key_reused"
        driver.decide_all()
        assert status(people[1], late)["status"] == "confirmed"


class TestRefusals:
    def test_only_admins_may(self, client, engine, as_host, as_attendee):
        body = {"event_id": make_event(engine).id, "reason": REASON}
        for headers, code in ((as_host, "forbidden"), (as_attendee, "forbidden"), ({}, "unauthenticated")):
            assert client.post(URL, json=body, headers=headers).json["code"] == code

    def test_an_event_must_be_there(self, engine, drain):
        hidden = make_event(engine, deleted_at=utc_now())
        for event_id in (hidden.id, 999, 2**63 - 1):
            for dry_run in (False, True):
                answer = drain(event_id, dry_run=dry_run)
                assert (answer.status_code, answer.json["code"]) == (404, "event_not_found")

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"reason": REASON},
            {"event_id": 1},
            {"event_id": 0, "reason": REASON},
            {"event_id": "1", "reason": REASON},
            {"event_id": 2**63, "reason": REASON},
            {"event_id": 1, "reason": ""},
            {"event_id": 1, "reason": "   "},
            {"event_id": 1, "reason": "x" * 201},
            {"event_id": 1, "reason": "\x00"},
            {"event_id": 1, "reason": "\ud800"},
            {"event_id": 1, "reason": REASON, "dry_run": 1},
            {"event_id": 1, "reason": REASON, "force": True},
        ],
    )
    def test_input_is_strict(self, client, as_admin, body):
        answer = client.post(URL, json=body, headers=as_admin)
        assert (answer.status_code, answer.json["code"]) == (422, "validation_failed")

    def test_a_line_that_does_not_answer(self, make_app, settings, engine, own_redis, drain_as):
        event = make_event(engine)
        app = make_app(replace(settings, redis_url=own_redis.url))
        assert drain_as(app, event.id).status_code == 200
        own_redis.stop()
        answer = drain_as(app, event.id)
        assert (answer.status_code, answer.json["code"]) == (503, "line_unavailable")
        assert ledger_kinds(engine) == ["event_set"]

    def test_a_line_of_another_installation(self, engine, people, ask, drain, redis_client):
        event = make_event(engine)
        ask(people[0], event)
        redis_client.set(keys.INSTALLATION, "another:8")
        answer = drain(event.id)
        assert (answer.status_code, answer.json["code"]) == (503, "line_unavailable")
        assert ledger_kinds(engine) == ["event_set"]

    def test_an_empty_redis_may_have_had_somebody_waiting(self, engine, people, ask, drain, redis_client):
        event = make_event(engine)
        ask(people[0], event)
        redis_client.flushall()
        answer = drain(event.id)
        assert (answer.status_code, answer.json["code"]) == (503, "line_unavailable")


@pytest.fixture
def drain_as(engine: Engine) -> Callable[[Flask, int], TestResponse]:
    admin = make_user(engine, role="admin")

    def drain(app: Flask, event_id: int) -> TestResponse:
        body = {"event_id": event_id, "reason": REASON}
        return app.test_client().post(URL, json=body, headers=auth_header(app, admin))

    return drain
