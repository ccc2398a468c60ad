"""Closing an account: what it held is freed through the line, nobody can be it any more, the ledger stays."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, func, select, text, update

from shared.db import transaction
from shared.errors import GuichetError
from shared.ids import uuid7
from shared.line.accept import Accepted, NewRequest
from shared.models import (
    AuditLogEntry,
    Booking,
    ControlRequest,
    Decision,
    Event,
    Follow,
    Interest,
    Notification,
    User,
    WaitlistEntry,
)
from shared.services import accounts, credentials
from tests.factories import PASSWORD, auth_header, make_event, make_user
from tests.plans import indexes_of


def make_booking(engine: Engine, event: Event, user: User, *, status: str = "confirmed") -> uuid.UUID:
    """A booking's row alone, as if a worker had written it."""
    booking_id = uuid7()
    with transaction(engine) as session:
        now = session.execute(select(func.now())).scalar_one()
        session.add(
            Booking(
                id=booking_id,
                reference=booking_id.hex,
                event_id=event.id,
                user_id=user.id,
                job_id=uuid7(),
                tickets=1,
                status=status,
                price_minor=0,
                currency="EUR",
                arrival=1,
                created_at=now,
                cancelled_at=now if status == "cancelled" else None,
            )
        )
    return booking_id


def make_entry(engine: Engine, event: Event, user: User, *, status: str = "waiting") -> None:
    """An entry in a waitlist alone, as if a worker had written it."""
    with transaction(engine) as session:
        now = session.execute(select(func.now())).scalar_one()
        session.add(
            WaitlistEntry(
                id=uuid7(),
                event_id=event.id,
                user_id=user.id,
                job_id=uuid7(),
                number=1,
                tickets=1,
                status=status,
                created_at=now,
                ended_at=None if status in ("waiting", "offered") else now,
            )
        )


def control_requests(engine: Engine) -> list[ControlRequest]:
    with transaction(engine) as session:
        return list(session.scalars(select(ControlRequest).order_by(ControlRequest.job_id)))


def close(client: FlaskClient, tokens: dict[str, Any], *, password: str = PASSWORD) -> int:
    headers = {"Authorization": f"Bearer {tokens['token']}"}
    return client.delete("/api/auth/account", json={"password": password}, headers=headers).status_code


@pytest.fixture
def host(engine: Engine) -> User:
    return make_user(engine, role="host", password=PASSWORD)


@pytest.fixture
def tokens(client: FlaskClient, host: User) -> dict[str, Any]:
    body = client.post("/api/auth/login", json={"email": host.email, "password": PASSWORD}).get_json()
    assert isinstance(body, dict)
    return body


class TestCloseOwnAccount:
    def test_nobody_is_this_account_any_more(
        self, client: FlaskClient, engine: Engine, host: User, tokens: dict[str, Any]
    ) -> None:
        other = client.post("/api/auth/login", json={"email": host.email, "password": PASSWORD}).get_json()
        assert close(client, tokens) == 204
        for pair in (tokens, other):
            headers = {"Authorization": f"Bearer {pair['token']}"}
            assert client.get("/api/auth/profile", headers=headers).status_code == 401
            assert (
                client.post("/api/auth/refresh", json={"refresh_token": pair["refresh_token"]}).status_code
                == 401
            )
        assert (
            client.post("/api/auth/login", json={"email": host.email, "password": PASSWORD}).status_code
            == 401
        )
        assert close(client, tokens) == 401
        with transaction(engine) as session:
            row = session.get_one(User, host.id)
        assert (row.name, row.email, row.password_hash) == (
            "Deleted user",
            f"deleted-{host.id}@invalid",
            None,
        )
        assert row.deleted_at is not None

    def test_the_address_is_free_again(self, client: FlaskClient, host: User, tokens: dict[str, Any]) -> None:
        close(client, tokens)
        body = {"name": "New", "email": host.email, "password": PASSWORD}
        answer = client.post("/api/auth/register", json=body)
        assert answer.status_code == 201
        assert answer.get_json()["user"]["id"] != host.id

    def test_wants_the_password(
        self, client: FlaskClient, engine: Engine, host: User, tokens: dict[str, Any]
    ) -> None:
        headers = {"Authorization": f"Bearer {tokens['token']}"}
        assert close(client, tokens, password="a-wrong-password") == 401
        assert client.delete("/api/auth/account", headers=headers).status_code == 422
        assert client.delete(f"/api/users/{host.id}", headers=headers).status_code == 422
        assert client.get("/api/auth/profile", headers=headers).status_code == 200
        assert control_requests(engine) == []

    def test_bookings_to_come_are_cancelled_through_the_line(
        self, client: FlaskClient, engine: Engine, host: User, tokens: dict[str, Any]
    ) -> None:
        with transaction(engine) as session:
            now = session.execute(select(func.now())).scalar_one()
        coming, past = make_event(engine), make_event(engine, starts_at=now - timedelta(days=2))
        booking_id = make_booking(engine, coming, host)
        make_booking(engine, past, host)
        make_booking(engine, make_event(engine), host, status="cancelled")
        make_booking(engine, coming, make_user(engine))
        assert close(client, tokens) == 204
        (request,) = control_requests(engine)
        assert (request.kind, request.event_id, request.user_id) == ("cancel", coming.id, host.id)
        assert (request.booking_id, request.acting_as) == (booking_id, "account")
        assert request.queued_at is not None

    def test_waitlists_are_left_through_the_line(
        self, client: FlaskClient, engine: Engine, host: User, tokens: dict[str, Any]
    ) -> None:
        with transaction(engine) as session:
            now = session.execute(select(func.now())).scalar_one()
        waiting, offered, goes_on = (
            make_event(engine),
            make_event(engine),
            make_event(engine, starts_at=now - timedelta(hours=1)),
        )
        make_entry(engine, waiting, host)
        make_entry(engine, offered, host, status="offered")
        make_entry(engine, goes_on, host)
        make_entry(engine, make_event(engine, starts_at=now - timedelta(days=2)), host)
        for status in ("accepted", "declined", "expired", "left"):
            make_entry(engine, make_event(engine), host, status=status)
        make_entry(engine, waiting, make_user(engine))
        assert close(client, tokens) == 204
        requests = control_requests(engine)
        assert [request.event_id for request in requests] == [waiting.id, offered.id, goes_on.id]
        assert {(r.kind, r.user_id, r.acting_as, r.booking_id, r.offer_id) for r in requests} == {
            ("leave_waitlist", host.id, "account", None, None)
        }
        assert all(request.queued_at is not None for request in requests)

    def test_hosted_events_are_called_off(
        self, client: FlaskClient, engine: Engine, host: User, tokens: dict[str, Any]
    ) -> None:
        event = make_event(engine, host=host)
        make_event(engine)
        assert close(client, tokens) == 204
        (request,) = control_requests(engine)
        assert (request.kind, request.event_id, request.acting_as) == ("call_off", event.id, "account")
        assert request.queued_at is not None
        with transaction(engine) as session:
            assert session.get_one(Event, event.id).status == "cancelled"
            rows = session.scalars(
                select(Decision).where(Decision.event_id == event.id).order_by(Decision.number)
            )
            assert [row.user_id for row in rows] == [host.id, host.id]

    def test_what_it_followed_and_was_told_is_forgotten(
        self, client: FlaskClient, engine: Engine, host: User, tokens: dict[str, Any]
    ) -> None:
        other, event = make_user(engine, role="host"), make_event(engine)
        pairs = ((host, other), (other, host), (other, make_user(engine)))
        with transaction(engine) as session:
            session.add_all([Follow(host_id=one.id, user_id=two.id) for one, two in pairs])
            for user in (host, other):
                session.add(Interest(event_id=event.id, user_id=user.id))
                session.add(Notification(id=uuid7(), user_id=user.id, kind="sales_open", cause="c"))
        assert close(client, tokens) == 204
        with transaction(engine) as session:
            for table in (Interest, Notification):
                assert session.scalars(select(table.user_id)).all() == [other.id]
            assert session.scalars(select(Follow.host_id)).all() == [other.id]

    def test_undecided_requests_are_withdrawn(
        self, app: Flask, client: FlaskClient, engine: Engine, host: User, tokens: dict[str, Any]
    ) -> None:
        line = app.extensions["guichet"].line
        event, job_id = make_event(engine), uuid7()
        answer = line.accept(
            NewRequest(job_id=job_id, kind="book", event_id=event.id, user_id=host.id, tickets=1)
        )
        assert isinstance(answer, Accepted)
        close(client, tokens)
        assert line.find_job(job_id).withdrawn

    def test_is_audited(
        self, client: FlaskClient, engine: Engine, host: User, tokens: dict[str, Any]
    ) -> None:
        close(client, tokens)
        with transaction(engine) as session:
            entry = session.scalars(select(AuditLogEntry).where(AuditLogEntry.action == "user.delete")).one()
        assert (entry.actor_id, entry.target_type, entry.target_id) == (host.id, "user", str(host.id))
        assert entry.request_id is not None

    def test_whoever_confirms_something_while_it_is_closed_is_nobody(self, engine, settings):
        """The token was good when it was looked at, a moment ago."""
        user = make_user(engine, password=PASSWORD)
        with transaction(engine) as session:
            session.execute(update(User).where(User.id == user.id).values(deleted_at=func.now()))
        with transaction(engine) as session, pytest.raises(GuichetError, match="unauthenticated"):
            credentials.begin_confirmation(session, user_id=user.id, address="192.0.2.1", settings=settings)


class TestAdmin:
    def test_closes_somebody_elses_account_without_a_password(
        self, app: Flask, client: FlaskClient, engine: Engine, host: User, tokens: dict[str, Any]
    ) -> None:
        admin = make_user(engine, role="admin")
        path = f"/api/users/{host.id}"
        assert client.delete(path, headers=auth_header(app, admin)).status_code == 204
        assert client.delete(path, headers=auth_header(app, admin)).status_code == 404
        headers = {"Authorization": f"Bearer {tokens['token']}"}
        assert client.get("/api/auth/profile", headers=headers).status_code == 401
        with transaction(engine) as session:
            entry = session.scalars(select(AuditLogEntry).where(AuditLogEntry.action == "user.delete")).one()
        assert (entry.actor_id, entry.target_id) == (admin.id, str(host.id))


class TestLeftovers:
    def test_what_a_closed_account_still_got_is_freed_once(
        self, client: FlaskClient, engine: Engine, host: User, tokens: dict[str, Any]
    ) -> None:
        close(client, tokens)
        booking_id = make_booking(engine, make_event(engine), host)
        hosted, waited_for = make_event(engine, host=host), make_event(engine)
        make_entry(engine, waited_for, host)
        make_booking(engine, make_event(engine), make_user(engine))
        make_entry(engine, waited_for, make_user(engine))
        with transaction(engine) as session:
            assert accounts.list_leftovers(session) == [host.id]
            job_ids = accounts.release_holdings(session, host.id, request_id=None)
        requests = control_requests(engine)
        assert {request.job_id for request in requests} == set(job_ids)
        assert {(request.kind, request.booking_id or request.event_id) for request in requests} == {
            ("cancel", booking_id),
            ("leave_waitlist", waited_for.id),
            ("call_off", hosted.id),
        }
        with transaction(engine) as session:
            assert accounts.list_leftovers(session) == []

    def test_each_kind_is_found_alone(
        self, client: FlaskClient, engine: Engine, host: User, tokens: dict[str, Any]
    ) -> None:
        close(client, tokens)
        makes = (
            lambda: make_booking(engine, make_event(engine), host),
            lambda: make_entry(engine, make_event(engine), host, status="offered"),
            lambda: make_event(engine, host=host, status="draft"),
        )
        for make in makes:
            make()
            with transaction(engine) as session:
                assert accounts.list_leftovers(session) == [host.id]
                accounts.release_holdings(session, host.id, request_id=None)
            with transaction(engine) as session:
                assert accounts.list_leftovers(session) == []

    def test_are_looked_up_and_not_looked_through(self, engine: Engine) -> None:
        """Whatever the tables hold: the schedule asks every half a minute."""
        with transaction(engine) as session:
            session.execute(
                text(
                    "set local session_replication_role = replica;"
                    "insert into users (name, email, role, deleted_at)"
                    " select 'p', n || '@x', 'host', case when n % 100 = 0 then now() end"
                    " from generate_series(1, 20000) n;"
                    "insert into bookings (id, reference, event_id, user_id, job_id, tickets, status, price_minor,"
                    " currency, arrival, created_at) select md5('b' || id)::uuid, id::text, id, id,"
                    " md5('j' || id)::uuid, 1, 'confirmed', 0, 'EUR', id, now() from users;"
                    "insert into waitlist_entries (id, event_id, user_id, job_id, number, tickets, status, created_at)"
                    " select md5('w' || id)::uuid, id, id, md5('q' || id)::uuid, 1, 1, 'waiting', now() from users;"
                    "insert into control_requests (job_id, kind, event_id, user_id, booking_id, acting_as)"
                    " select md5('c' || user_id)::uuid, 'cancel', event_id, user_id, id, 'account' from bookings;"
                    "insert into control_requests (job_id, kind, event_id, user_id, acting_as)"
                    " select md5('l' || id)::uuid, 'leave_waitlist', event_id, user_id, 'account'"
                    " from waitlist_entries;"
                    "insert into events (host_id, title, time_zone, starts_at, ends_at, sales_close_at, capacity)"
                    " select id, 'e', 'UTC', t, t, t, 1 from (select id, now() + id * interval '1 minute' as t"
                    " from users where deleted_at is null) later"
                )
            )
            for table in ("users", "bookings", "waitlist_entries", "control_requests", "events"):
                session.execute(text(f"analyze {table}"))
        assert indexes_of(engine, accounts.list_leftovers) == {
            "users_deleted_idx",
            *("bookings_user_idx", "waitlist_entries_user_idx", "events_pkey", "events_host_idx"),
            *("control_requests_booking_idx", "control_requests_leaving_idx"),
        }
