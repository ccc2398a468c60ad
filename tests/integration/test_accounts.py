"""Accounts over HTTP: registering, one's profile, users by id, admins."""

import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, select

from shared.clock import parse_rfc3339, utc_now
from shared.db import transaction
from shared.models import AuditLogEntry, User
from shared.services.tokens import mint_access_token
from shared.services.users import make_admin
from shared.settings import Settings
from tests.account_calls import bearer, log_in, register
from tests.factories import auth_header, make_user


@pytest.fixture
def ada(client: FlaskClient) -> dict[str, Any]:
    """What registering answered."""
    answer = register(client)
    assert answer.status_code == 201
    tokens: dict[str, Any] = answer.get_json()
    return tokens


class TestRegister:
    def test_answers_a_user_and_tokens_that_work(self, client: FlaskClient, settings: Settings) -> None:
        answer = register(client, role="host")
        body = answer.get_json()
        assert answer.status_code == 201
        assert answer.headers["Cache-Control"] == "no-store"
        assert set(body) == {"user", "token", "refresh_token", "expires_in"}
        assert set(body["user"]) == {"id", "name", "email", "role", "created_at"}
        assert (body["user"]["name"], body["user"]["email"], body["user"]["role"]) == (
            "Ada",
            "ada@example.org",
            "host",
        )
        assert abs(utc_now() - parse_rfc3339(body["user"]["created_at"])) < timedelta(minutes=1)
        assert body["expires_in"] == settings.access_token_seconds
        assert client.get("/api/auth/profile", headers=bearer(body)).get_json() == body["user"]

    def test_the_name_may_be_called_username_and_the_role_left_out(self, client: FlaskClient) -> None:
        user = register(client, name=None, username="Ada").get_json()["user"]
        assert (user["name"], user["role"]) == ("Ada", "attendee")

    @pytest.mark.usefixtures("ada")
    @pytest.mark.parametrize("email", ["ada@example.org", "ADA@example.ORG", " ada@example.org "])
    def test_an_address_is_taken_however_it_is_written(self, client: FlaskClient, email: str) -> None:
        answer = register(client, email=email)
        assert (answer.status_code, answer.get_json()["code"]) == (409, "email_taken")

    @pytest.mark.parametrize(
        ("fields", "pointer"),
        [
            ({"name": None}, "#/name"),
            ({"username": "Both"}, "#/username"),
            ({"name": "  "}, "#/name"),
            ({"name": "a\x00b"}, "#/name"),
            ({"email": "no address"}, "#/email"),
            ({"email": None}, "#/email"),
            ({"email": ["ada@example.org"]}, "#/email"),
            ({"password": "too-short-1"}, "#/password"),
            ({"password": "x1-" * 43}, "#/password"),
            ({"password": "ada@example.org"}, "#/password"),
            ({"password": "password1234"}, "#/password"),
            ({"password": 123456789012}, "#/password"),
            ({"role": "admin"}, "#/role"),
            ({"role": "root"}, "#/role"),
            ({"is_admin": True}, "#/is_admin"),
        ],
    )
    def test_refuses_bad_fields_and_makes_nobody(
        self, client: FlaskClient, engine: Engine, fields: dict[str, object], pointer: str
    ) -> None:
        answer = register(client, **fields)
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.get_json()["errors"]] == [pointer]
        with transaction(engine) as session:
            assert session.scalars(select(User)).all() == []

    def test_of_many_at_once_one_gets_the_address(self, app: Flask) -> None:
        answers: list[int] = []
        barrier = threading.Barrier(8)

        def run() -> None:
            barrier.wait()
            answers.append(register(app.test_client()).status_code)

        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # a turn at the hash may be refused (503) when the machine is busy; nobody gets a 500
        assert answers.count(201) == 1
        assert set(answers) <= {201, 409, 503}

    def test_the_hash_is_argon2id_and_stays_inside(
        self, client: FlaskClient, engine: Engine, ada: dict[str, Any]
    ) -> None:
        with transaction(engine) as session:
            stored = session.scalars(select(User.password_hash)).one()
        assert stored is not None
        assert stored.startswith("$argon2id$")
        assert "argon2" not in client.get("/api/auth/profile", headers=bearer(ada)).text


class TestProfile:
    def test_changes_name_and_address(self, client: FlaskClient, ada: dict[str, Any]) -> None:
        changes = {"username": "Ada L.", "email": "lovelace@example.org"}
        answer = client.put("/api/auth/profile", json=changes, headers=bearer(ada))
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.get_json() == ada["user"] | {"name": "Ada L.", "email": "lovelace@example.org"}
        assert log_in(client, email="lovelace@example.org").status_code == 200

    def test_takes_nobodys_address(self, client: FlaskClient, ada: dict[str, Any]) -> None:
        register(client, email="bob@example.org")
        answer = client.put("/api/auth/profile", json={"email": "BOB@example.org"}, headers=bearer(ada))
        assert (answer.status_code, answer.get_json()["code"]) == (409, "email_taken")
        assert client.get("/api/auth/profile", headers=bearer(ada)).get_json() == ada["user"]

    @pytest.mark.parametrize("field", ["role", "id", "password", "password_hash", "deleted_at"])
    def test_changes_nothing_else(self, client: FlaskClient, ada: dict[str, Any], field: str) -> None:
        answer = client.put("/api/auth/profile", json={field: "host"}, headers=bearer(ada))
        assert answer.status_code == 422
        assert answer.get_json()["errors"][0]["pointer"] == f"#/{field}"

    def test_is_for_those_signed_in(self, client: FlaskClient) -> None:
        answer = client.get("/api/auth/profile")
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.content_type == "application/problem+json"


class TestUsers:
    def test_are_for_themselves_and_for_admins(self, client: FlaskClient, app: Flask, engine: Engine) -> None:
        user, stranger, admin = (
            make_user(engine),
            make_user(engine, role="host"),
            make_user(engine, role="admin"),
        )
        path = f"/api/users/{user.id}"
        assert client.get(path, headers=auth_header(app, user)).get_json()["id"] == user.id
        assert client.get(path, headers=auth_header(app, admin)).get_json()["id"] == user.id
        for call in (client.get, client.put, client.delete):
            answer = call(path, headers=auth_header(app, stranger))
            assert (answer.status_code, answer.get_json()["code"]) == (404, "user_not_found")
        assert client.get(path).status_code == 401
        assert (
            client.get("/api/users/999999999999999999999", headers=auth_header(app, admin)).status_code == 404
        )

    def test_only_an_admin_changes_a_role_and_it_counts_at_once(
        self, client: FlaskClient, app: Flask, engine: Engine
    ) -> None:
        user, admin = make_user(engine), make_user(engine, role="admin")
        path = f"/api/users/{user.id}"
        assert client.put(path, json={"role": "host"}, headers=auth_header(app, user)).status_code == 403
        answer = client.put(path, json={"role": "host"}, headers=auth_header(app, admin))
        assert (answer.status_code, answer.get_json()["role"]) == (200, "host")
        with transaction(engine) as session:
            entry = session.scalars(select(AuditLogEntry)).one()
        assert (entry.actor_id, entry.action, entry.target_id) == (admin.id, "user.update", str(user.id))
        assert entry.changes == {"role": {"from": "attendee", "to": "host"}}

    def test_nobody_is_made_an_admin_over_http(self, client: FlaskClient, app: Flask, engine: Engine) -> None:
        user, admin = make_user(engine), make_user(engine, role="admin")
        answer = client.put(f"/api/users/{user.id}", json={"role": "admin"}, headers=auth_header(app, admin))
        assert answer.status_code == 422

    def test_the_role_in_a_token_is_not_believed(
        self, client: FlaskClient, engine: Engine, settings: Settings
    ) -> None:
        user, other = make_user(engine), make_user(engine)
        token = mint_access_token(
            settings.secret_key,
            user_id=user.id,
            role="admin",
            family_id=uuid.uuid4(),
            now=utc_now(),
            lifetime_seconds=60,
        )
        headers = {"Authorization": f"Bearer {token}"}
        assert client.get(f"/api/users/{user.id}", headers=headers).status_code == 200
        assert client.get(f"/api/users/{other.id}", headers=headers).status_code == 404


class TestMakeAdmin:
    def test_makes_a_new_one_and_promotes_an_existing_one(self, engine: Engine) -> None:
        user = make_user(engine)
        with transaction(engine) as session:
            _, is_new = make_admin(session, name="Root", email="root@example.org", password_hash=None)
            promoted, promoted_is_new = make_admin(
                session, name="x", email=user.email.upper(), password_hash=None
            )
        assert (is_new, promoted_is_new) == (True, False)
        assert (promoted.id, promoted.role, promoted.name) == (user.id, "admin", user.name)
        with transaction(engine) as session:
            entries = session.scalars(select(AuditLogEntry).order_by(AuditLogEntry.id)).all()
        assert [(entry.actor_id, entry.action) for entry in entries] == [(None, "user.make_admin")] * 2
