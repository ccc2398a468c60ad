"""A booking's way: HTTP → line → decision → status."""

import uuid
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine

from shared.clock import utc_now
from shared.models import User
from tests.factories import auth_header, make_event, make_user, make_users


class Caller:
    """Somebody with a token."""

    def __init__(self, app: Flask, client: FlaskClient, user: User) -> None:
        self.client, self.user, self.headers = client, user, auth_header(app, user)

    def book(self, event_id: int, tickets: int = 1, **headers: str):
        return self.client.post(
            f"/api/bookings/{event_id}/book", json={"tickets": tickets}, headers={**self.headers, **headers}
        )

    def status(self, job_id: str):
        return self.client.get(f"/api/bookings/status/{job_id}", headers=self.headers)


@pytest.fixture
def people(app: Flask, client: FlaskClient, engine: Engine) -> list[Caller]:
    return [Caller(app, client, user) for user in make_users(engine, 6)]


class TestBook:
    def test_answers_202_at_once_and_decides_in_order(self, engine, driver, people):
        event = make_event(engine, capacity=3, title="On sale")
        answers = [
            person.book(event.id, tickets) for person, tickets in zip(people, (2, 2, 1, 1), strict=False)
        ]
        assert [answer.status_code for answer in answers] == [202] * 4
        assert [answer.json["arrival"] for answer in answers] == [1, 2, 3, 4]
        assert [answer.json["position"] for answer in answers] == [1, 2, 3, 4]
        assert answers[0].headers["Location"] == f"/api/bookings/status/{answers[0].json['job_id']}"
        assert int(answers[0].headers["Retry-After"]) >= 1

        waiting = people[1].status(answers[1].json["job_id"]).json
        assert (waiting["status"], waiting["position"], waiting["eta_seconds"]) == ("queued", 2, None)

        assert driver.decide_all() == 4
        documents = [
            person.status(answer.json["job_id"]).json for person, answer in zip(people, answers, strict=False)
        ]
        assert [document["status"] for document in documents] == [
            "confirmed",
            "rejected",
            "confirmed",
            "rejected",
        ]
        assert [document["reason"] for document in documents] == [None, "not_enough_left", None, "sold_out"]
        assert documents[1]["facts"] == {"available": 1}
        booking = documents[0]["booking"]
        assert booking["event"]["title"] == "On sale"
        assert booking["tickets"] == 2
        assert len(booking["reference"]) == 9

    def test_tells_the_same_from_the_ledger_when_redis_is_empty(self, engine, driver, people, redis_client):
        event = make_event(engine, capacity=1)
        answers = [person.book(event.id) for person in people[:2]]
        driver.decide_all()
        from_redis = [
            person.status(answer.json["job_id"]).json for person, answer in zip(people, answers, strict=False)
        ]
        redis_client.flushall()
        from_ledger = [
            person.status(answer.json["job_id"]).json for person, answer in zip(people, answers, strict=False)
        ]
        for one, other in zip(from_redis, from_ledger, strict=True):
            assert {**one, "links": None} == {**other, "links": None}

    def test_waits_when_asked_to(self, engine, driver, people):
        event = make_event(engine)
        answer = people[0].book(event.id, Prefer="wait=0")
        assert answer.status_code == 202
        driver.decide_all()
        second = people[1].book(event.id, Prefer="wait=1")
        assert second.status_code == 202
        assert second.headers["Preference-Applied"] == "wait=1"

    def test_refuses_what_the_door_knows_without_taking_a_number(self, engine, driver, people):
        now = utc_now()
        later = make_event(engine, sales_open_at=now + timedelta(days=1))
        closed = make_event(engine, sales_close_at=now - timedelta(seconds=1))
        paused = make_event(engine, sales_paused=True)
        cancelled = make_event(engine, status="cancelled")
        draft = make_event(engine, status="draft")
        small = make_event(engine, max_per_booking=2)
        for event, code, status in (
            (later, "sales_not_open", 409),
            (closed, "sales_closed", 409),
            (paused, "sales_paused", 409),
            (cancelled, "event_cancelled", 409),
            (draft, "event_not_found", 404),
            (small, "too_many_tickets", 409),
        ):
            answer = people[0].book(event.id, 3)
            assert (answer.json["code"], answer.status_code) == (code, status)
        assert people[0].book(later.id).json["opens_at"] == (later.sales_open_at).strftime(
            "%Y-%m-%dT%H:%M:%S.%fZ"
        )
        assert people[0].book(999_999).json["code"] == "event_not_found"
        assert driver.decide_all() == 0

    @pytest.mark.parametrize("tickets", [0, 11, -1, True, "1", 1.0, None, 2**70])
    def test_refuses_bad_input(self, engine, people, tickets):
        event = make_event(engine)
        answer = people[0].book(event.id, tickets)
        assert answer.status_code == 422
        assert answer.json["errors"][0]["pointer"] == "#/tickets"

    def test_needs_a_token(self, engine, client):
        event = make_event(engine)
        answer = client.post(f"/api/bookings/{event.id}/book", json={})
        assert answer.status_code == 401
        assert "WWW-Authenticate" in answer.headers


class TestIdempotencyKey:
    def test_gives_the_same_job_again(self, engine, driver, people):
        event = make_event(engine, capacity=1)
        first = people[0].book(event.id, **{"Idempotency-Key": "a"})
        again = people[0].client.post(
            "/api/bookings",
            json={"event_id": event.id, "tickets": 1},
            headers={**people[0].headers, "X-Idempotency-Key": '"a"'},
        )
        assert again.status_code == 202
        assert again.json["job_id"] == first.json["job_id"]
        assert again.headers["Idempotency-Replayed"] == "true"
        driver.decide_all()
        after = people[0].book(event.id, **{"Idempotency-Key": "a"})
        assert (after.status_code, after.json["status"]) == (201, "confirmed")
        assert after.headers["Location"] == f"/api/bookings/{after.json['booking']['id']}"

    def test_refuses_another_payload(self, engine, people):
        event = make_event(engine)
        people[0].book(event.id, **{"Idempotency-Key": "a"})
        answer = people[0].book(event.id, 2, **{"Idempotency-Key": "a"})
        assert (answer.status_code, answer.json["code"]) == (422, "idempotency_key_reused")


class TestWithdraw:
    def test_is_decided_at_its_place(self, engine, driver, people):
        event = make_event(engine, capacity=1)
        jobs = [person.book(event.id).json["job_id"] for person in people[:2]]
        answer = people[0].client.delete(f"/api/bookings/status/{jobs[0]}", headers=people[0].headers)
        assert answer.status_code == 202
        driver.decide_all()
        first, second = (person.status(job).json for person, job in zip(people, jobs, strict=False))
        assert (first["status"], first["reason"]) == ("withdrawn", "withdrawn_by_user")
        assert second["status"] == "confirmed"

    def test_is_too_late_after_the_decision(self, engine, driver, people):
        event = make_event(engine)
        job = people[0].book(event.id).json["job_id"]
        driver.decide_all()
        answer = people[0].client.delete(f"/api/bookings/status/{job}", headers=people[0].headers)
        assert (answer.status_code, answer.json["code"]) == (409, "already_decided")
        assert answer.json["job"]["status"] == "confirmed"

    def test_is_nobody_elses_business(self, engine, people):
        event = make_event(engine)
        job = people[0].book(event.id).json["job_id"]
        assert (
            people[1].client.delete(f"/api/bookings/status/{job}", headers=people[1].headers).status_code
            == 404
        )
        assert people[1].status(job).status_code == 404
        assert people[1].status(str(uuid.uuid4())).status_code == 404


class TestCancel:
    def test_gives_the_tickets_to_the_next(self, engine, driver, people):
        event = make_event(engine, capacity=1)
        job = people[0].book(event.id).json["job_id"]
        driver.decide_all()
        booking = people[0].status(job).json["booking"]
        answer = people[0].client.delete(
            f"/api/bookings/{booking['id']}", headers={**people[0].headers, "Prefer": "wait=0"}
        )
        assert answer.status_code == 202
        driver.decide_all()
        status = people[0].status(answer.json["job_id"]).json
        assert (status["status"], status["booking"]["status"]) == ("cancelled", "cancelled")
        assert people[0].status(job).json["booking"]["status"] == "confirmed"  # an answer never changes
        again = people[0].client.put(f"/api/bookings/{booking['id']}/cancel", headers=people[0].headers)
        assert (again.status_code, again.json["code"]) == (409, "already_cancelled")

    def test_closes_a_day_before_the_start_but_not_for_the_host(self, app, client, engine, driver, people):
        host = make_user(engine, role="host")
        event = make_event(engine, host=host, starts_at=utc_now() + timedelta(hours=5))
        job = people[0].book(event.id).json["job_id"]
        driver.decide_all()
        booking_id = people[0].status(job).json["booking"]["id"]
        wait = {"Prefer": "wait=0"}
        late = client.delete(f"/api/bookings/{booking_id}", headers={**people[0].headers, **wait}).json
        driver.decide_all()
        assert people[0].status(late["job_id"]).json["reason"] == "cancellation_closed"
        by_host = Caller(app, client, host)
        done = client.delete(f"/api/bookings/{booking_id}", headers={**by_host.headers, **wait}).json
        driver.decide_all()
        assert by_host.status(done["job_id"]).json["status"] == "cancelled"


class TestMyRequests:
    def test_lists_undecided_and_decided_newest_first(self, engine, driver, people):
        events = [make_event(engine) for _ in range(3)]
        jobs = [people[0].book(events[0].id).json["job_id"]]
        driver.decide_all()
        jobs += [people[0].book(event.id).json["job_id"] for event in events[1:]]
        answer = people[0].client.get("/api/bookings/requests?limit=2", headers=people[0].headers)
        assert [item["job_id"] for item in answer.json["items"]] == jobs[:0:-1]
        rest = people[0].client.get(
            f"/api/bookings/requests?limit=2&cursor={answer.json['next_cursor']}", headers=people[0].headers
        )
        assert [(item["job_id"], item["status"]) for item in rest.json["items"]] == [(jobs[0], "confirmed")]
        assert rest.json["next_cursor"] is None
