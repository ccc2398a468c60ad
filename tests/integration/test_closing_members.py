"""Closing the account of somebody who belongs to an organization: it keeps an owner, and its events a host."""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, select

from shared.db import transaction
from shared.models import ControlRequest, Event, Organization, OrganizationMember, User
from shared.services import accounts
from tests.event_calls import audit_rows, ledger
from tests.factories import PASSWORD, auth_header, make_event, make_organization, make_user
from tests.integration.test_organizations import log


@pytest.fixture
def owner(engine: Engine) -> User:
    return make_user(engine, role="host", password=PASSWORD)


def close(client: FlaskClient, user: User) -> None:
    headers = auth_header(client.application, user)
    answer = client.delete("/api/auth/account", json={"password": PASSWORD}, headers=headers)
    assert answer.status_code == 204, answer.text


def roles(engine: Engine, organization: Organization) -> dict[int, str]:
    with transaction(engine) as session:
        query = select(OrganizationMember).where(OrganizationMember.organization_id == organization.id)
        return {member.user_id: member.role for member in session.scalars(query)}


def read(engine: Engine, event: Event) -> Event:
    with transaction(engine) as session:
        return session.get_one(Event, event.id)


class TestMemberships:
    def test_end_and_the_oldest_member_becomes_the_owner(
        self, client: FlaskClient, engine: Engine, owner: User
    ) -> None:
        members = [make_user(engine), make_user(engine)]
        made = make_organization(engine, owners=[owner], members=members[::-1])
        close(client, owner)
        assert roles(engine, made) == {members[1].id: "owner", members[0].id: "member"}
        assert [(entry.action, entry.changes["role"]) for entry in log(engine, made.id)] == [
            ("organization.remove_member", {"from": "owner", "to": None}),
            ("organization.change_member", {"from": "member", "to": "owner"}),
        ]

    def test_nobody_is_promoted_while_there_is_an_owner(
        self, client: FlaskClient, engine: Engine, owner: User
    ) -> None:
        other, member = make_user(engine), make_user(engine)
        made = make_organization(engine, owners=[owner, other], members=[member])
        close(client, owner)
        assert roles(engine, made) == {other.id: "owner", member.id: "member"}

    def test_an_organization_without_members_stays_for_admins_to_manage(
        self, app: Flask, client: FlaskClient, engine: Engine, owner: User
    ) -> None:
        made = make_organization(engine, owners=[owner])
        close(client, owner)
        assert roles(engine, made) == {}
        admin, heir = auth_header(app, make_user(engine, role="admin")), make_user(engine)
        url = f"/api/organizations/{made.id}"
        assert client.get(url).status_code == 200
        body = {"user_id": heir.id, "role": "owner"}
        assert client.post(f"{url}/members", json=body, headers=admin).status_code == 201
        assert client.patch(url, json={"name": "Ours"}, headers=auth_header(app, heir)).status_code == 200


class TestEvents:
    def test_of_an_organization_go_on_under_its_first_owner(
        self, client: FlaskClient, engine: Engine, owner: User
    ) -> None:
        late, heir = make_user(engine), make_user(engine)
        made = make_organization(engine, owners=[owner, heir, late])
        coming = make_event(engine, host=owner, organization_id=made.id)
        draft = make_event(engine, host=owner, organization_id=made.id, status="draft")
        past = make_event(
            engine, host=owner, organization_id=made.id, starts_at=datetime.now(UTC) - timedelta(days=3)
        )
        own = make_event(engine, host=owner)
        close(client, owner)
        after = [read(engine, event) for event in (coming, draft, past, own)]
        assert [(event.host_id, event.status) for event in after] == [
            (heir.id, "scheduled"),
            (heir.id, "draft"),
            (owner.id, "scheduled"),
            (owner.id, "cancelled"),
        ]
        assert after[1].deleted_at is None
        with transaction(engine) as session:
            (request,) = session.scalars(select(ControlRequest))
            assert accounts.list_leftovers(session) == []
        assert (request.kind, request.event_id) == ("call_off", own.id)
        entry, row = audit_rows(engine, coming.id)[-1], ledger(engine, coming.id)[-1]
        assert (entry.action, entry.job_id) == ("event.hand_over", row.job_id)
        assert entry.changes == {"host_id": {"from": owner.id, "to": heir.id}}
        assert client.get(f"/api/events/{coming.id}").json["host"] == {"id": heir.id, "name": heir.name}

    def test_of_one_that_nobody_is_left_in_are_called_off(
        self, client: FlaskClient, engine: Engine, owner: User
    ) -> None:
        made = make_organization(engine, owners=[owner])
        event = make_event(engine, host=owner, organization_id=made.id)
        close(client, owner)
        assert read(engine, event).status == "cancelled"

    def test_made_while_the_account_was_closed_are_handed_over_by_the_schedule(
        self, client: FlaskClient, engine: Engine, owner: User
    ) -> None:
        heir = make_user(engine)
        made = make_organization(engine, owners=[owner, heir])
        close(client, owner)
        event = make_event(engine, host=owner, organization_id=made.id)
        with transaction(engine) as session:
            assert accounts.list_leftovers(session) == [owner.id]
            assert accounts.release_holdings(session, owner.id, request_id=None) == []
            assert accounts.list_leftovers(session) == []
        assert read(engine, event).host_id == heir.id
