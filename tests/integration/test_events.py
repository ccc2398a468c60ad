"""Events over HTTP: creating, changing, calling off, hiding, and what each writes down."""

import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, select, text, update
from werkzeug.test import TestResponse

from api.container import get_container
from api.impressions import ImpressionCounter
from shared.clock import parse_rfc3339, rfc3339
from shared.db import make_engine, transaction
from shared.domain.ledger import GENESIS, LedgerRow, chain_hash
from shared.ids import uuid7
from shared.models import AuditLogEntry, Booking, ControlRequest, Decision, Event, User
from shared.services.events import call_off_for_account
from shared.store.clock import read_clock
from tests.factories import auth_header, make_event, make_user

START = datetime(2040, 6, 1, 18, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
EVENT_FIELDS = {
    *("id", "title", "description", "venue", "category", "code", "time_zone", "starts_at", "ends_at"),
    *(
        "sales_open_at",
        "sales_close_at",
        "price_minor",
        "currency",
        "is_free",
        "capacity",
        "booked",
        "available",
    ),
    *(
        "max_per_booking",
        "status",
        "sales",
        "organization",
        "host",
        "impressions",
        "created_at",
        "updated_at",
    ),
}


def body(**fields: Any) -> dict[str, Any]:
    return {"title": "Concert", "starts_at": rfc3339(START), "capacity": 50, **fields}


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
    ({"waitlist_enabled": True}, "#/waitlist_enabled"),
]


@pytest.fixture
def host(engine: Engine) -> User:
    return make_user(engine, role="host", name="Hanna Host")


@pytest.fixture
def as_host(app: Flask, host: User) -> dict[str, str]:
    return auth_header(app, host)


@pytest.fixture
def as_admin(app: Flask, engine: Engine) -> dict[str, str]:
    return auth_header(app, make_user(engine, role="admin"))


@pytest.fixture
def as_attendee(app: Flask, engine: Engine) -> dict[str, str]:
    return auth_header(app, make_user(engine))


@pytest.fixture
def create(client: FlaskClient, as_host: dict[str, str]) -> Callable[..., dict[str, Any]]:
    def create_over_http(**fields: Any) -> dict[str, Any]:
        answer = client.post("/api/events", json=body(**fields), headers=as_host)
        assert answer.status_code == 201, answer.text
        document: dict[str, Any] = answer.json
        return document

    return create_over_http


def add_booking(
    engine: Engine, event_id: int, user: User, *, tickets: int = 2, status: str = "confirmed"
) -> Booking:
    """A booking as a worker leaves it, for reads that do not care how it came about."""
    with transaction(engine) as session:
        now = read_clock(session)
        booking = Booking(
            id=uuid7(),
            reference=str(uuid.uuid4()),
            event_id=event_id,
            user_id=user.id,
            job_id=uuid7(),
            tickets=tickets,
            status=status,
            price_minor=0,
            currency="EUR",
            arrival=1,
            created_at=now,
            cancelled_at=now if status == "cancelled" else None,
        )
        session.add(booking)
        if status == "confirmed":
            session.execute(update(Event).where(Event.id == event_id).values(booked=Event.booked + tickets))
    return booking


def ledger(engine: Engine, event_id: int) -> list[Decision]:
    with transaction(engine) as session:
        rows = select(Decision).where(Decision.event_id == event_id).order_by(Decision.number)
        return list(session.scalars(rows))


def audit_rows(engine: Engine, event_id: int) -> list[AuditLogEntry]:
    with transaction(engine) as session:
        query = select(AuditLogEntry).where(
            AuditLogEntry.target_type == "event", AuditLogEntry.target_id == str(event_id)
        )
        return list(session.scalars(query.order_by(AuditLogEntry.id)))


def problem_of(answer: TestResponse) -> tuple[int, str]:
    assert answer.content_type == "application/problem+json", answer.text
    return answer.status_code, answer.json["code"]


def pointers(answer: TestResponse) -> list[str]:
    assert problem_of(answer) == (422, "validation_failed")
    return [entry["pointer"] for entry in answer.json["errors"]]


class TestCreate:
    def test_answers_with_the_whole_event_and_where_it_is(
        self, client: FlaskClient, as_host: dict[str, str]
    ) -> None:
        answer = client.post("/api/events", json=body(), headers=as_host)
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
            answer = client.post("/api/events", json=body(**fields), headers=as_host)
            assert (fields, pointers(answer)) == (fields, [pointer])
        with transaction(engine) as session:
            assert session.scalar(text("select count(*) from events")) == 0

    def test_needs_title_start_and_capacity(self, client: FlaskClient, as_host: dict[str, str]) -> None:
        for missing in ("title", "starts_at", "capacity"):
            fields = {name: value for name, value in body().items() if name != missing}
            assert pointers(client.post("/api/events", json=fields, headers=as_host)) == [f"#/{missing}"]

    def test_is_for_hosts_and_admins(
        self, client: FlaskClient, as_attendee: dict[str, str], as_admin: dict[str, str]
    ) -> None:
        assert problem_of(client.post("/api/events", json=body())) == (401, "unauthenticated")
        assert problem_of(client.post("/api/events", json=body(), headers=as_attendee)) == (403, "forbidden")
        assert client.post("/api/events", json=body(), headers=as_admin).status_code == 201

    def test_a_code_names_one_event(
        self, client: FlaskClient, as_host: dict[str, str], create: Callable[..., dict[str, Any]]
    ) -> None:
        create(code="SAME")
        answer = client.post("/api/events", json=body(code="SAME"), headers=as_host)
        assert problem_of(answer) == (409, "event_code_taken")


class TestIdempotencyKey:
    def test_repeats_the_answer_without_a_second_event(
        self, client: FlaskClient, engine: Engine, as_host: dict[str, str]
    ) -> None:
        first = client.post("/api/events", json=body(), headers={**as_host, "Idempotency-Key": "k-1"})
        again = client.post("/api/events", json=body(), headers={**as_host, "X-Idempotency-Key": '"k-1"'})
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
        client.post("/api/events", json=body(), headers=headers)
        answer = client.post("/api/events", json=body(capacity=51), headers=headers)
        assert problem_of(answer) == (422, "idempotency_key_reused")

    def test_belongs_to_its_actor(
        self, client: FlaskClient, as_host: dict[str, str], as_admin: dict[str, str]
    ) -> None:
        key = {"Idempotency-Key": "k-1"}
        first = client.post("/api/events", json=body(), headers={**as_host, **key})
        other = client.post("/api/events", json=body(), headers={**as_admin, **key})
        assert other.json["id"] != first.json["id"]

    def test_does_not_remember_a_refusal(self, client: FlaskClient, as_host: dict[str, str]) -> None:
        headers = {**as_host, "Idempotency-Key": "k-1"}
        client.post("/api/events", json=body(code="TAKEN"), headers=as_host)
        refused = client.post("/api/events", json=body(code="TAKEN"), headers=headers)
        assert problem_of(refused) == (409, "event_code_taken")
        assert client.post("/api/events", json=body(code="FREE"), headers=headers).status_code == 201

    def test_must_be_a_key(self, client: FlaskClient, as_host: dict[str, str]) -> None:
        for key in ("", '""', "x" * 256, "é"):
            answer = client.post("/api/events", json=body(), headers={**as_host, "Idempotency-Key": key})
            assert problem_of(answer) == (400, "bad_request")

    def test_ten_at_once_create_one_event(self, app: Flask, engine: Engine, as_host: dict[str, str]) -> None:
        answers: list[TestResponse] = []
        headers = {**as_host, "Idempotency-Key": "k-1"}
        barrier = threading.Barrier(10)

        def post() -> None:
            barrier.wait()
            answers.append(app.test_client().post("/api/events", json=body(), headers=headers))

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
        deadline = time.monotonic() + 5
        while client.get("/api/events").json["items"][0]["impressions"] < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert client.get("/api/events").json["items"][0]["impressions"] == 3

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


class TestChange:
    def test_patch_changes_only_what_is_named(
        self, client: FlaskClient, create: Callable[..., dict[str, Any]], as_host: dict[str, str]
    ) -> None:
        event = create(venue="Hall", status="scheduled")
        answer = client.patch(f"/api/events/{event['id']}", json={"title": "Opera"}, headers=as_host)
        changed = {name: value for name, value in answer.json.items() if event[name] != value}
        assert (answer.status_code, set(changed)) == (200, {"title", "updated_at"})
        assert parse_rfc3339(answer.json["updated_at"]) > parse_rfc3339(event["updated_at"])

    def test_put_replaces_everything_but_a_status_left_out(
        self, client: FlaskClient, create: Callable[..., dict[str, Any]], as_host: dict[str, str]
    ) -> None:
        event = create(venue="Hall", code="C-1", price_minor=900, max_per_booking=2, status="scheduled")
        url = f"/api/events/{event['id']}"
        answer = client.put(url, json=body(title="Opera"), headers=as_host)
        assert answer.status_code == 200
        assert (answer.json["venue"], answer.json["code"], answer.json["price_minor"]) == ("", None, 0)
        assert (answer.json["max_per_booking"], answer.json["status"]) == (10, "scheduled")
        assert pointers(client.put(url, json={"title": "Opera"}, headers=as_host)) == [
            "#/starts_at",
            "#/capacity",
        ]

    def test_each_edit_is_one_version_one_ledger_row_and_one_audit_row(
        self,
        client: FlaskClient,
        engine: Engine,
        create: Callable[..., dict[str, Any]],
        as_admin: dict[str, str],
    ) -> None:
        event = create(status="scheduled")
        url = f"/api/events/{event['id']}"
        answer = client.patch(url, json={"capacity": 60, "title": "Opera"}, headers=as_admin)
        again = client.patch(url, json={"capacity": 60, "title": "Opera"}, headers=as_admin)
        assert answer.headers["ETag"] == again.headers["ETag"]
        assert answer.headers["ETag"].startswith('"2-')
        rows, entries = ledger(engine, event["id"]), audit_rows(engine, event["id"])
        assert [row.facts["capacity"] for row in rows] == [50, 60]
        assert [row.job_id for row in rows] == [entry.job_id for entry in entries]
        assert entries[1].changes == {
            "title": {"from": "Concert", "to": "Opera"},
            "capacity": {"from": 50, "to": 60},
        }
        assert entries[1].actor_id != entries[0].actor_id

    def test_an_end_at_its_default_moves_with_the_start(
        self, client: FlaskClient, create: Callable[..., dict[str, Any]], as_host: dict[str, str]
    ) -> None:
        url = f"/api/events/{create()['id']}"
        later = START + 24 * HOUR
        moved = client.patch(url, json={"starts_at": rfc3339(later)}, headers=as_host).json
        assert (moved["ends_at"], moved["sales_close_at"]) == (rfc3339(later + 2 * HOUR), rfc3339(later))

    def test_a_capacity_below_what_is_booked_is_refused(
        self, client: FlaskClient, engine: Engine, host: User, as_host: dict[str, str]
    ) -> None:
        event = make_event(engine, host=host, capacity=10)
        add_booking(engine, event.id, make_user(engine), tickets=4)
        url = f"/api/events/{event.id}"
        answer = client.patch(url, json={"capacity": 3}, headers=as_host)
        assert problem_of(answer) == (409, "capacity_below_committed")
        assert answer.json["booked"] == 4
        assert client.patch(url, json={"capacity": 4}, headers=as_host).json["sales"] == "sold_out"
        assert ledger(engine, event.id)[-1].available_after == 0

    def test_only_an_event_without_bookings_goes_back_to_draft(
        self, client: FlaskClient, engine: Engine, host: User, as_host: dict[str, str]
    ) -> None:
        event = make_event(engine, host=host)
        url = f"/api/events/{event.id}"
        assert client.patch(url, json={"status": "draft"}, headers=as_host).json["status"] == "draft"
        assert client.patch(url, json={"status": "scheduled"}, headers=as_host).json["status"] == "scheduled"
        add_booking(engine, event.id, make_user(engine))
        answer = client.patch(url, json={"status": "draft"}, headers=as_host)
        assert problem_of(answer) == (409, "event_has_bookings")

    def test_pausing_sales_is_a_change_that_the_rules_read(
        self,
        client: FlaskClient,
        engine: Engine,
        create: Callable[..., dict[str, Any]],
        as_host: dict[str, str],
    ) -> None:
        event = create(status="scheduled")
        answer = client.patch(f"/api/events/{event['id']}", json={"sales_paused": True}, headers=as_host)
        assert answer.json["sales"] == "paused"
        assert ledger(engine, event["id"])[-1].facts["sales_paused"] is True

    def test_what_is_over_stays_as_it_was(
        self, client: FlaskClient, engine: Engine, host: User, as_host: dict[str, str]
    ) -> None:
        now = datetime.now(UTC)
        event = make_event(engine, host=host, starts_at=now - 2 * HOUR, ends_at=now - HOUR)
        answer = client.patch(f"/api/events/{event.id}", json={"title": "Opera"}, headers=as_host)
        assert problem_of(answer) == (409, "event_over")

    def test_is_for_its_host_and_admins(
        self,
        app: Flask,
        client: FlaskClient,
        engine: Engine,
        create: Callable[..., dict[str, Any]],
        as_admin: dict[str, str],
    ) -> None:
        stranger = auth_header(app, make_user(engine, role="host"))
        draft = f"/api/events/{create()['id']}"
        published = f"/api/events/{create(status='scheduled')['id']}"
        change = {"title": "Opera"}
        assert problem_of(client.patch(published, json=change)) == (401, "unauthenticated")
        assert problem_of(client.patch(draft, json=change, headers=stranger)) == (404, "event_not_found")
        assert problem_of(client.patch(published, json=change, headers=stranger)) == (403, "forbidden")
        assert problem_of(client.put(published, json=body(), headers=stranger)) == (403, "forbidden")
        assert problem_of(client.delete(draft, headers=stranger)) == (404, "event_not_found")
        assert problem_of(client.delete(published, headers=stranger)) == (403, "forbidden")
        assert client.patch(draft, json=change, headers=as_admin).status_code == 200

    def test_if_match_keeps_from_overwriting_another_edit(
        self, client: FlaskClient, create: Callable[..., dict[str, Any]], as_host: dict[str, str]
    ) -> None:
        url = f"/api/events/{create(status='scheduled')['id']}"
        read = client.get(url).headers["ETag"]
        assert (
            client.patch(url, json={"title": "A"}, headers={**as_host, "If-Match": read}).status_code == 200
        )
        late = client.patch(url, json={"title": "B"}, headers={**as_host, "If-Match": read})
        assert problem_of(late) == (412, "precondition_failed")
        for accepted in ('"2-whatever"', 'W/"2-gzip"', '"1-x", "2-y"', "*"):
            answer = client.patch(url, json={"title": "A"}, headers={**as_host, "If-Match": accepted})
            assert answer.status_code == 200
        for refused in ('"2"', "2-x", "nonsense", '"99999999999999999999-x"'):
            answer = client.put(url, json=body(), headers={**as_host, "If-Match": refused})
            assert problem_of(answer) == (412, "precondition_failed")
        assert problem_of(client.delete(url, headers={**as_host, "If-Match": read})) == (
            412,
            "precondition_failed",
        )

    def test_two_edits_at_once_are_both_in_the_chain(
        self, app: Flask, engine: Engine, create: Callable[..., dict[str, Any]], as_host: dict[str, str]
    ) -> None:
        event = create(status="scheduled")

        def patch(capacity: int) -> None:
            app.test_client().patch(
                f"/api/events/{event['id']}", json={"capacity": capacity}, headers=as_host
            )

        threads = [threading.Thread(target=patch, args=(100 + number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rows = ledger(engine, event["id"])
        head = GENESIS
        for number, row in enumerate(rows, start=1):
            plain = LedgerRow(**{name: getattr(row, name) for name in LedgerRow.__slots__})
            head = chain_hash(head, plain)
            assert (row.number, row.hash) == (number, head)
        assert len(rows) == 7
        assert [row.decided_at for row in rows] == sorted(row.decided_at for row in rows)


class TestCallOff:
    def test_sets_the_status_and_puts_a_request_into_the_line(
        self, client: FlaskClient, engine: Engine, host: User, as_host: dict[str, str]
    ) -> None:
        event = make_event(engine, host=host)
        add_booking(engine, event.id, make_user(engine))
        url = f"/api/events/{event.id}"
        answer = client.patch(url, json={"status": "cancelled"}, headers=as_host)
        assert (answer.status_code, answer.json["status"], answer.json["sales"]) == (
            200,
            "cancelled",
            "closed",
        )
        assert ledger(engine, event.id)[-1].facts["status"] == "cancelled"
        assert audit_rows(engine, event.id)[-1].action == "event.call_off"
        with transaction(engine) as session:
            (request,) = session.scalars(select(ControlRequest))
        assert (request.kind, request.event_id, request.acting_as) == ("call_off", event.id, "host")
        assert client.get(url).json["status"] == "cancelled"

    def test_is_final_and_safe_to_repeat(
        self,
        client: FlaskClient,
        engine: Engine,
        create: Callable[..., dict[str, Any]],
        as_admin: dict[str, str],
    ) -> None:
        url = f"/api/events/{create(status='scheduled')['id']}"
        for _ in range(2):
            assert client.patch(url, json={"status": "cancelled"}, headers=as_admin).status_code == 200
        with transaction(engine) as session:
            (request,) = session.scalars(select(ControlRequest))
        assert request.acting_as == "admin"
        for change in ({"status": "scheduled"}, {"title": "Opera"}):
            assert problem_of(client.patch(url, json=change, headers=as_admin)) == (409, "event_over")

    def test_a_closed_account_calls_off_what_is_to_come(self, engine: Engine, host: User) -> None:
        now = datetime.now(UTC)
        coming, draft = make_event(engine, host=host), make_event(engine, host=host, status="draft")
        over = make_event(engine, host=host, starts_at=now - 2 * HOUR, ends_at=now - HOUR)
        other = make_event(engine)
        with transaction(engine) as session:
            jobs = call_off_for_account(session, host.id, read_clock(session), "req")
        with transaction(engine) as session:
            (request,) = session.scalars(select(ControlRequest))
            events = {event.id: event for event in session.scalars(select(Event))}
        assert jobs == [request.job_id]
        assert (request.event_id, request.acting_as, request.user_id) == (coming.id, "account", host.id)
        assert events[coming.id].status == "cancelled"
        assert events[draft.id].deleted_at is not None
        assert (events[over.id].status, events[other.id].status) == ("scheduled", "scheduled")
        assert len(ledger(engine, coming.id)) == len(audit_rows(engine, coming.id)) == 2


class TestDelete:
    def test_hides_the_event_and_keeps_its_ledger(
        self,
        client: FlaskClient,
        engine: Engine,
        create: Callable[..., dict[str, Any]],
        as_host: dict[str, str],
    ) -> None:
        event = create(status="scheduled", code="C-1")
        url = f"/api/events/{event['id']}"
        assert client.delete(url, headers=as_host).status_code == 204
        for path in ("", "/slots", "/decisions", "/bookings", "/check-registration"):
            assert problem_of(client.get(url + path, headers=as_host)) == (404, "event_not_found")
        assert problem_of(client.delete(url, headers=as_host)) == (404, "event_not_found")
        assert problem_of(client.patch(url, json={}, headers=as_host)) == (404, "event_not_found")
        assert client.get("/api/events", headers=as_host).json["items"] == []
        rows, entries = ledger(engine, event["id"]), audit_rows(engine, event["id"])
        assert [row.facts["deleted"] for row in rows] == [False, True]
        assert (entries[-1].action, entries[-1].job_id) == ("event.delete", rows[-1].job_id)
        assert create(code="C-1")["code"] == "C-1"

    def test_an_event_with_bookings_is_called_off_instead(
        self, client: FlaskClient, engine: Engine, host: User, as_host: dict[str, str]
    ) -> None:
        event = make_event(engine, host=host)
        add_booking(engine, event.id, make_user(engine))
        answer = client.delete(f"/api/events/{event.id}", headers=as_host)
        assert problem_of(answer) == (409, "event_has_bookings")
        assert answer.json["booked"] == 2


class TestRegistrations:
    def test_say_whether_the_caller_comes(self, app: Flask, client: FlaskClient, engine: Engine) -> None:
        event, user = make_event(engine), make_user(engine)
        url, headers = f"/api/events/{event.id}/check-registration", auth_header(app, user)
        assert problem_of(client.get(url)) == (401, "unauthenticated")
        answer = client.get(url, headers=headers)
        assert answer.json == {"is_registered": False, "booking_id": None, "status": None}
        assert answer.headers["Cache-Control"] == "no-store"
        add_booking(engine, event.id, user, status="cancelled")
        assert client.get(url, headers=headers).json["is_registered"] is False
        booking = add_booking(engine, event.id, user)
        assert client.get(url, headers=headers).json == {
            "is_registered": True,
            "booking_id": str(booking.id),
            "status": "confirmed",
        }

    def test_list_the_events_of_the_callers_live_bookings(
        self, app: Flask, client: FlaskClient, engine: Engine
    ) -> None:
        user, events = make_user(engine), [make_event(engine) for _ in range(4)]
        for event in events[:3]:
            add_booking(engine, event.id, user)
        add_booking(engine, events[3].id, user, status="cancelled")
        url, headers = "/api/events/user/registrations", auth_header(app, user)
        assert problem_of(client.get(url)) == (401, "unauthenticated")
        first = client.get(f"{url}?limit=2&with_total=true", headers=headers)
        rest = client.get(
            url, query_string={"limit": 2, "cursor": first.json["next_cursor"]}, headers=headers
        )
        shown = [item["id"] for item in first.json["items"] + rest.json["items"]]
        assert shown == [event.id for event in reversed(events[:3])]
        assert first.json["total"] == 3
        assert set(first.json["items"][0]) == {*EVENT_FIELDS, "registration_date"}
        assert first.headers["Cache-Control"] == "no-store"

    def test_of_an_event_are_for_its_host_and_admins(
        self,
        client: FlaskClient,
        engine: Engine,
        host: User,
        as_host: dict[str, str],
        as_admin: dict[str, str],
        as_attendee: dict[str, str],
    ) -> None:
        event = make_event(engine, host=host)
        guests = [make_user(engine, name=f"Guest {number}") for number in range(3)]
        for guest, status in zip(guests, ("confirmed", "cancelled", "confirmed"), strict=True):
            add_booking(engine, event.id, guest, status=status)
        url = f"/api/events/{event.id}/bookings"
        assert problem_of(client.get(url)) == (401, "unauthenticated")
        assert problem_of(client.get(url, headers=as_attendee)) == (403, "forbidden")
        answer = client.get(f"{url}?status=confirmed&with_total=true", headers=as_host)
        assert [item["attendee"]["name"] for item in answer.json["items"]] == ["Guest 0", "Guest 2"]
        assert (answer.json["total"], answer.headers["Cache-Control"]) == (2, "no-store")
        assert answer.json["items"][0]["event"]["title"] == event.title
        assert len(client.get(url, headers=as_admin).json["items"]) == 3


class TestLedger:
    def test_is_public_and_enough_to_recompute_every_hash(
        self, client: FlaskClient, create: Callable[..., dict[str, Any]], as_host: dict[str, str]
    ) -> None:
        event_id = create(status="scheduled")["id"]
        for capacity in (60, 70):
            client.patch(f"/api/events/{event_id}", json={"capacity": capacity}, headers=as_host)
        url: str | None = f"/api/events/{event_id}/decisions?limit=2"
        rows: list[dict[str, Any]] = []
        while url:
            page = client.get(url)
            rows += page.json["items"]
            url = page.headers["Link"].split(">")[0][1:] if "Link" in page.headers else None
        head = GENESIS
        for row in rows:
            assert "user_id" not in row
            head = chain_hash(head, ledger_row(event_id, row))
            assert row["hash"] == head.hex()
        assert [row["number"] for row in rows] == [1, 2, 3]
        assert client.get(f"/api/events/{event_id}/decisions/head").json == {"number": 3, "hash": head.hex()}

    def test_can_be_read_from_its_end(
        self, client: FlaskClient, create: Callable[..., dict[str, Any]], as_host: dict[str, str]
    ) -> None:
        event_id = create(status="scheduled")["id"]
        client.patch(f"/api/events/{event_id}", json={"capacity": 60}, headers=as_host)
        newest = client.get(f"/api/events/{event_id}/decisions?order=desc&limit=1").json["items"]
        assert [row["number"] for row in newest] == [2]


def ledger_row(event_id: int, row: dict[str, Any]) -> LedgerRow:
    """What a stranger can rebuild from the public ledger."""
    return LedgerRow(
        job_id=uuid.UUID(row["job_id"]),
        event_id=event_id,
        number=row["number"],
        arrival=row["arrival"],
        kind=row["kind"],
        user_id=None,
        tickets=row["tickets"],
        outcome=row["outcome"],
        reason=row["reason"],
        booking_id=row["booking_id"] and uuid.UUID(row["booking_id"]),
        available_after=row["available_after"],
        facts=row["facts"],
        accepted_at=parse_rfc3339(row["accepted_at"]),
        decided_at=parse_rfc3339(row["decided_at"]),
    )
