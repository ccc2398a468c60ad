"""Events over HTTP: creating and reading."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, select, text
from werkzeug.test import TestResponse

from api.container import get_container
from api.impressions import ImpressionCounter
from shared.clock import rfc3339
from shared.db import make_engine, transaction
from shared.models import Event, User
from tests.event_calls import (
    EVENT_FIELDS,
    HOUR,
    START,
    add_booking,
    audit_rows,
    event_body,
    ledger,
    pointers,
    problem_of,
)
from tests.factories import make_event, make_user
from tests.lines import await_that

# Field values that an event may not be created with, and where the problem document points.
REFUSED_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"title": ""}, "#/title"),
    ({"title": "a\0b"}, "#/title"),
    ({"title": None}, "#/title"),
    ({"capacity": 0}, "#/capacity"),
    ({"capacity": 10_000_001}, "#/capacity"),
    ({"capacity": True}, "#/capacity"),
    ({"capacity": 1.0}, "#/capacity"),
    ({"capacity": "1"}, "#/capacity"),
    ({"price_minor": -1}, "#/price_minor"),
    ({"price_minor": 2**70}, "#/price_minor"),
    ({"max_per_booking": 11}, "#/max_per_booking"),
    ({"currency": "eur"}, "#/currency"),
    ({"currency": "XYZ"}, "#/currency"),
    ({"time_zone": "Paris"}, "#/time_zone"),
    ({"time_zone": "../../etc/passwd"}, "#/time_zone"),
    ({"code": "has space"}, "#/code"),
    ({"status": "cancelled"}, "#/status"),
    ({"starts_at": "2020-01-01T00:00:00Z"}, "#/starts_at"),
    ({"starts_at": "2040-01-01T00:00:00"}, "#/starts_at"),
    ({"starts_at": "2040-02-30T00:00:00Z"}, "#/starts_at"),
    ({"starts_at": "9999-12-31T23:59:59-05:00"}, "#/starts_at"),
    ({"starts_at": 2040}, "#/starts_at"),
    ({"ends_at": rfc3339(START - HOUR)}, "#/ends_at"),
    ({"ends_at": rfc3339(START + timedelta(days=400))}, "#/ends_at"),
    ({"sales_close_at": rfc3339(START + HOUR)}, "#/sales_close_at"),
    ({"sales_open_at": rfc3339(START)}, "#/sales_open_at"),
    ({"sales_paused": 1}, "#/sales_paused"),
    ({"booked": 3}, "#/booked"),
    ({"waitlist": True}, "#/waitlist"),
]


class TestCreate:
    def test_answers_with_the_whole_event_and_where_it_is(
        self, client: FlaskClient, as_host: dict[str, str]
    ) -> None:
        answer = client.post("/api/events", json=event_body(), headers=as_host)
        event = answer.json
        assert answer.status_code == 201
        assert set(event) == EVENT_FIELDS
        assert answer.headers["Location"] == f"/api/events/{event['id']}"
        assert answer.headers["ETag"].startswith('"1-')
        assert event["ends_at"] == rfc3339(START + 2 * HOUR)
        assert event["sales_close_at"] == rfc3339(START)
        assert event["host"]["name"] == "Hanna Host"
        assert (event["status"], event["sales"], event["time_zone"], event["is_free"]) == (
            "draft",
            "not_open",
            "UTC",
            True,
        )
        assert client.get(answer.headers["Location"], headers=as_host).json == event

    def test_takes_every_field_it_says_is_writable(self, create: Callable[..., dict[str, Any]]) -> None:
        event = create(
            description="Pianos", venue="Hall 2", category="music", code="P-2040", time_zone="Europe/Paris",
            ends_at="2040-06-01T22:00:00+02:00", sales_open_at="2040-01-01T00:00:00Z",
            sales_close_at="2040-06-01T12:00:00Z", sales_paused=False, price_minor=1250, currency="CHF",
            max_per_booking=4, status="scheduled",
        )  # fmt: skip
        assert event["ends_at"] == "2040-06-01T20:00:00.000000Z"
        assert (event["price_minor"], event["currency"], event["is_free"]) == (1250, "CHF", False)
        assert (event["code"], event["max_per_booking"], event["sales"]) == ("P-2040", 4, "not_open")

    def test_writes_the_first_ledger_row_and_an_audit_row(
        self, engine: Engine, host: User, create: Callable[..., dict[str, Any]]
    ) -> None:
        event = create(price_minor=500)
        (row,) = ledger(engine, event["id"])
        (entry,) = audit_rows(engine, event["id"])
        assert (row.kind, row.number, row.arrival, row.outcome, row.available_after) == (
            "event_set",
            1,
            None,
            "done",
            50,
        )
        assert (row.user_id, row.facts["price_minor"], row.facts["status"]) == (host.id, 500, "draft")
        assert (entry.actor_id, entry.action, entry.job_id) == (host.id, "event.create", row.job_id)
        assert entry.changes["title"] == "Concert"

    def test_refuses_and_says_which_field(
        self, client: FlaskClient, engine: Engine, as_host: dict[str, str]
    ) -> None:
        for fields, pointer in REFUSED_FIELDS:
            answer = client.post("/api/events", json=event_body(**fields), headers=as_host)
            assert (fields, pointers(answer)) == (fields, [pointer])
        with transaction(engine) as session:
            assert session.scalar(text("select count(*) from events")) == 0

    def test_needs_title_start_and_capacity(self, client: FlaskClient, as_host: dict[str, str]) -> None:
        for missing in ("title", "starts_at", "capacity"):
            fields = {name: value for name, value in event_body().items() if name != missing}
            assert pointers(client.post("/api/events", json=fields, headers=as_host)) == [f"#/{missing}"]

    def test_is_for_hosts_and_admins(
        self, client: FlaskClient, as_attendee: dict[str, str], as_admin: dict[str, str]
    ) -> None:
        assert problem_of(client.post("/api/events", json=event_body())) == (401, "unauthenticated")
        assert problem_of(client.post("/api/events", json=event_body(), headers=as_attendee)) == (
            403,
            "forbidden",
        )
        assert client.post("/api/events", json=event_body(), headers=as_admin).status_code == 201

    def test_a_code_names_one_event(
        self, client: FlaskClient, as_host: dict[str, str], create: Callable[..., dict[str, Any]]
    ) -> None:
        create(code="SAME")
        answer = client.post("/api/events", json=event_body(code="SAME"), headers=as_host)
        assert problem_of(answer) == (409, "event_code_taken")


class TestIdempotencyKey:
    def test_repeats_the_answer_without_a_second_event(
        self, client: FlaskClient, engine: Engine, as_host: dict[str, str]
    ) -> None:
        first = client.post("/api/events", json=event_body(), headers={**as_host, "Idempotency-Key": "k-1"})
        again = client.post(
            "/api/events", json=event_body(), headers={**as_host, "X-Idempotency-Key": '"k-1"'}
        )
        assert "Idempotency-Replayed" not in first.headers
        assert again.headers["Idempotency-Replayed"] == "true"
        assert (again.status_code, again.data) == (201, first.data)
        assert (again.headers["Location"], again.headers["ETag"]) == (
            first.headers["Location"],
            first.headers["ETag"],
        )
        with transaction(engine) as session:
            assert session.scalar(text("select count(*) from events")) == 1

    def test_is_one_request_only(self, client: FlaskClient, as_host: dict[str, str]) -> None:
        headers = {**as_host, "Idempotency-Key": "k-1"}
        client.post("/api/events", json=event_body(), headers=headers)
        answer = client.post("/api/events", json=event_body(capacity=51), headers=headers)
        assert problem_of(answer) == (422, "idempotency_key_reused")

    def test_belongs_to_its_actor(
        self, client: FlaskClient, as_host: dict[str, str], as_admin: dict[str, str]
    ) -> None:
        key = {"Idempotency-Key": "k-1"}
        first = client.post("/api/events", json=event_body(), headers={**as_host, **key})
        other = client.post("/api/events", json=event_body(), headers={**as_admin, **key})
        assert other.json["id"] != first.json["id"]

    def test_does_not_remember_a_refusal(self, client: FlaskClient, as_host: dict[str, str]) -> None:
        headers = {**as_host, "Idempotency-Key": "k-1"}
        client.post("/api/events", json=event_body(code="TAKEN"), headers=as_host)
        refused = client.post("/api/events", json=event_body(code="TAKEN"), headers=headers)
        assert problem_of(refused) == (409, "event_code_taken")
        assert client.post("/api/events", json=event_body(code="FREE"), headers=headers).status_code == 201

    def test_must_be_a_key(self, client: FlaskClient, as_host: dict[str, str]) -> None:
        for key in ("", '""', "x" * 256, "é"):
            answer = client.post(
                "/api/events", json=event_body(), headers={**as_host, "Idempotency-Key": key}
            )
            assert problem_of(answer) == (400, "bad_request")

    def test_ten_at_once_create_one_event(self, app: Flask, engine: Engine, as_host: dict[str, str]) -> None:
        answers: list[TestResponse] = []
        headers = {**as_host, "Idempotency-Key": "k-1"}
        barrier = threading.Barrier(10)

        def post() -> None:
            barrier.wait()
            answers.append(app.test_client().post("/api/events", json=event_body(), headers=headers))

        threads = [threading.Thread(target=post) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [answer.status_code for answer in answers] == [201] * 10
        assert len({answer.data for answer in answers}) == 1
        assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 9
        with transaction(engine) as session:
            assert session.scalar(text("select count(*) from events")) == 1


class TestRead:
    @pytest.mark.parametrize("path", ["", "/view"])
    def test_a_published_event_is_public(self, client: FlaskClient, engine: Engine, path: str) -> None:
        event = make_event(engine, price_minor=100)
        answer = client.get(f"/api/events/{event.id}{path}")
        assert answer.status_code == 200
        assert set(answer.json) == EVENT_FIELDS
        assert (answer.json["sales"], answer.json["status"]) == ("open", "scheduled")

    def test_a_draft_is_for_its_host_and_admins(
        self,
        client: FlaskClient,
        create: Callable[..., dict[str, Any]],
        as_host: dict[str, str],
        as_admin: dict[str, str],
        as_attendee: dict[str, str],
    ) -> None:
        for path in ("", "/view", "/slots", "/decisions", "/decisions/head"):
            url = f"/api/events/{create()['id']}{path}"
            assert problem_of(client.get(url)) == (404, "event_not_found")
            assert problem_of(client.get(url, headers=as_attendee)) == (404, "event_not_found")
            assert client.get(url, headers=as_host).status_code == 200
            assert client.get(url, headers=as_admin).status_code == 200

    def test_an_unknown_event_is_404(self, client: FlaskClient, as_host: dict[str, str]) -> None:
        for event_id in (0, 999_999, 2**63, 10**40):
            assert problem_of(client.get(f"/api/events/{event_id}")) == (404, "event_not_found")
            answer = client.delete(f"/api/events/{event_id}", headers=as_host)
            assert problem_of(answer) == (404, "event_not_found")

    def test_is_completed_when_it_is_over(self, client: FlaskClient, engine: Engine) -> None:
        now = datetime.now(UTC)
        event = make_event(engine, starts_at=now - 2 * HOUR, ends_at=now - HOUR)
        document = client.get(f"/api/events/{event.id}").json
        assert (document["status"], document["sales"]) == ("completed", "closed")

    def test_a_pause_of_the_line_shows_until_it_ends(self, client: FlaskClient, engine: Engine) -> None:
        event = make_event(engine)

        def sales_with(pause: str) -> str:
            with transaction(engine) as session:
                session.execute(text(f"update line_state set {pause}"))
            sales: str = client.get(f"/api/events/{event.id}").json["sales"]
            return sales

        assert sales_with("paused = true") == "paused"
        assert sales_with("resume_at = now() + interval '1 hour'") == "paused"
        assert sales_with("resume_at = now()") == "open"
        assert sales_with("paused = false, resume_at = null") == "open"


class TestCaching:
    def test_who_has_it_gets_304_until_it_changes(
        self, client: FlaskClient, create: Callable[..., dict[str, Any]], as_host: dict[str, str]
    ) -> None:
        url = f"/api/events/{create(status='scheduled')['id']}"
        etag = client.get(url).headers["ETag"]
        unchanged = client.get(url, headers={"If-None-Match": etag})
        assert (unchanged.status_code, unchanged.data, unchanged.headers["ETag"]) == (304, b"", etag)
        client.patch(url, json={"title": "Opera"}, headers=as_host)
        changed = client.get(url, headers={"If-None-Match": etag})
        assert changed.status_code == 200
        assert changed.headers["ETag"].startswith('"2-')

    def test_a_look_does_not_change_what_it_looks_at(
        self, app: Flask, client: FlaskClient, create: Callable[..., dict[str, Any]]
    ) -> None:
        url = f"/api/events/{create(status='scheduled')['id']}"
        etag = client.get(url).headers["ETag"]
        with app.app_context():
            get_container().impressions.flush()
        assert client.get(url, headers={"If-None-Match": etag}).status_code == 304

    def test_a_booking_changes_the_tag_but_not_the_version(self, client: FlaskClient, engine: Engine) -> None:
        event = make_event(engine)
        url = f"/api/events/{event.id}"
        before = client.get(url).headers["ETag"]
        add_booking(engine, event.id, make_user(engine))
        after = client.get(url, headers={"If-None-Match": before})
        assert after.status_code == 200
        assert after.headers["ETag"].startswith('"1-')


class TestImpressions:
    def test_are_counted_without_a_write_and_show_up_within_seconds(
        self, client: FlaskClient, engine: Engine
    ) -> None:
        event = make_event(engine)
        for path in ("", "/view", ""):
            client.get(f"/api/events/{event.id}{path}")
        client.head(f"/api/events/{event.id}")

        def counted() -> int:
            looks: int = client.get("/api/events").json["items"][0]["impressions"]
            return looks

        await_that(lambda: counted() >= 3, what="the looks in the list")
        assert counted() == 3

    def test_never_wait_for_a_worker_and_are_not_lost(self, engine: Engine) -> None:
        locked, free = make_event(engine), make_event(engine)
        counter = ImpressionCounter(engine)
        with transaction(engine) as worker:
            worker.execute(text("select 1 from events where id = :id for update"), {"id": locked.id})
            counter.count(locked.id)
            counter.count(free.id)
            counter.flush()
            assert (self.stored(engine, locked), self.stored(engine, free)) == (0, 1)
        counter.close()
        assert (self.stored(engine, locked), self.stored(engine, free)) == (1, 1)

    def test_survive_an_outage_of_the_database(self, engine: Engine) -> None:
        event = make_event(engine)
        away = make_engine("postgresql+psycopg2://nobody@/nothing?host=/nonexistent")
        counter = ImpressionCounter(away)
        counter.count(event.id)
        counter.flush()
        counter._engine = engine
        counter.close()
        assert self.stored(engine, event) == 1

    @staticmethod
    def stored(engine: Engine, event: Event) -> int | None:
        with transaction(engine) as session:
            return session.scalar(select(Event.impressions).where(Event.id == event.id))
