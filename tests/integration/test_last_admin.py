"""There is always an admin: the last one is neither demoted nor closed, by whomever."""

import pytest
from sqlalchemy import select

from shared.db import transaction
from shared.models import AuditLogEntry
from tests.event_calls import problem_of
from tests.factories import PASSWORD, auth_header, make_user


@pytest.fixture
def admin(engine):
    return make_user(engine, role="admin", password=PASSWORD)


@pytest.fixture
def headers(app, admin):
    return auth_header(app, admin)


class TestTheLastAdmin:
    def test_cannot_step_down(self, client, admin, headers):
        answer = client.put(f"/api/users/{admin.id}", json={"role": "host"}, headers=headers)
        assert problem_of(answer) == (409, "last_admin")
        assert client.get("/api/auth/profile", headers=headers).json["role"] == "admin"

    @pytest.mark.parametrize("path", ["/api/auth/account", "/api/users/{id}"])
    def test_cannot_close_the_account(self, client, admin, headers, path):
        answer = client.delete(path.format(id=admin.id), json={"password": PASSWORD}, headers=headers)
        assert problem_of(answer) == (409, "last_admin")
        assert client.get("/api/auth/profile", headers=headers).status_code == 200

    def test_may_change_everything_else(self, client, admin, headers):
        answer = client.put(f"/api/users/{admin.id}", json={"name": "Root"}, headers=headers)
        assert (answer.status_code, answer.json["name"], answer.json["role"]) == (200, "Root", "admin")

    def test_a_closed_admin_does_not_count(self, app, client, engine, admin, headers):
        other = make_user(engine, role="admin")
        assert client.delete(f"/api/users/{other.id}", headers=headers).status_code == 204
        answer = client.put(f"/api/users/{admin.id}", json={"role": "host"}, headers=headers)
        assert problem_of(answer) == (409, "last_admin")


class TestAnotherAdmin:
    def test_is_demoted_and_that_is_recorded(self, app, client, engine, admin, headers):
        other = make_user(engine, role="admin")
        answer = client.put(f"/api/users/{other.id}", json={"role": "attendee"}, headers=headers)
        assert (answer.status_code, answer.json["role"]) == (200, "attendee")
        assert client.get("/api/users", headers=auth_header(app, other)).status_code == 403
        with transaction(engine) as session:
            entry = session.scalars(select(AuditLogEntry).where(AuditLogEntry.action == "user.update")).one()
        assert (entry.actor_id, entry.target_id) == (admin.id, str(other.id))
        assert entry.changes == {"role": {"from": "admin", "to": "attendee"}}

    def test_then_the_first_may_go(self, client, engine, admin, headers):
        make_user(engine, role="admin")
        body = {"password": PASSWORD}
        assert client.delete("/api/auth/account", json=body, headers=headers).status_code == 204
