"""Events over HTTP: changing, calling off, hiding, and what each writes down."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, select

from api.schemas.events import EventSchema
from shared.clock import parse_rfc3339, rfc3339
from shared.db import transaction
from shared.domain.ledger import GENESIS, LedgerRow, chain_hash
from shared.models import ControlRequest, Event, User
from shared.services.events import call_off_for_account
from shared.store.clock import read_clock
from tests.event_calls import (
    HOUR,
    START,
    add_booking,
    audit_rows,
    event_body,
    ledger,
    pointers,
    problem_of,
)
from tests.factories import auth_header, make_event, make_user


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
        answer = client.put(url, json=event_body(title="Opera"), headers=as_host)
        assert answer.status_code == 200
        assert (answer.json["venue"], answer.json["code"], answer.json["price_minor"]) == ("", None, 0)
        assert (answer.json["max_per_booking"], answer.json["status"]) == (10, "scheduled")
        assert pointers(client.put(url, json={"title": "Opera"}, headers=as_host)) == [
            "#/starts_at",
            "#/capacity",
        ]

    def test_what_was_read_may_be_put_back_and_changes_nothing(
        self, client: FlaskClient, create: Callable[..., dict[str, Any]], as_host: dict[str, str]
    ) -> None:
        event = create(venue="Hall", code="C-1", price_minor=900, sales_paused=True, status="scheduled")
        url = f"/api/events/{event['id']}"
        readable = {**event, "organization_id": event["organization"] and event["organization"]["id"]}
        writable = {name: readable[name] for name in EventSchema().fields if name in readable}
        assert set(writable) == set(EventSchema().fields), "every writable field can be read"
        answer = client.put(url, json=writable, headers=as_host)
        assert answer.json == event

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
        assert problem_of(client.put(published, json=event_body(), headers=stranger)) == (403, "forbidden")
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
            answer = client.put(url, json=event_body(), headers={**as_host, "If-Match": refused})
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
