"""Who belongs to an organization, over HTTP: seen by those who do, decided by its owners, and always an owner left."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, func, update

from shared.db import transaction
from shared.domain.organizations import MEMBERSHIPS_MAX
from shared.models import Organization, OrganizationMember, User
from tests.event_calls import pointers, problem_of
from tests.factories import auth_header, make_event, make_organization, make_user
from tests.integration.test_organizations import log

pytestmark = pytest.mark.usefixtures("checked")


@pytest.fixture
def member(engine: Engine) -> User:
    return make_user(engine, name="Mona Member", email="Mona@example.org")


@pytest.fixture
def organization(engine: Engine, host: User, member: User) -> Organization:
    return make_organization(engine, owners=[host], members=[member])


@pytest.fixture
def url(organization: Organization) -> str:
    return f"/api/organizations/{organization.id}/members"


def roles(client: FlaskClient, url: str, headers: dict[str, str]) -> dict[int, str]:
    answer = client.get(url, headers=headers)
    assert answer.status_code == 200, answer.text
    return {item["user"]["id"]: item["role"] for item in answer.json["items"]}


class TestList:
    def test_is_for_members_and_admins(
        self,
        app: Flask,
        client: FlaskClient,
        engine: Engine,
        host: User,
        member: User,
        url: str,
        as_host: dict[str, str],
        as_member: dict[str, str],
        as_admin: dict[str, str],
    ) -> None:
        for headers in (as_host, as_member, as_admin):
            assert roles(client, url, headers) == {host.id: "owner", member.id: "member"}
        stranger = auth_header(app, make_user(engine, role="host"))
        assert problem_of(client.get(url, headers=stranger)) == (404, "organization_not_found")
        assert problem_of(client.get(url)) == (401, "unauthenticated")
        for gone in (10**9, 10**30):
            answer = client.get(f"/api/organizations/{gone}/members", headers=as_admin)
            assert problem_of(answer) == (404, "organization_not_found")

    def test_shows_no_address(self, client: FlaskClient, url: str, as_host: dict[str, str]) -> None:
        answer = client.get(url, headers=as_host)
        assert "@" not in answer.text
        assert answer.json["items"][1]["user"]["name"] == "Mona Member"
        assert answer.headers["Cache-Control"] == "no-store"

    def test_oldest_first_or_by_name_page_by_page(
        self, client: FlaskClient, engine: Engine, host: User
    ) -> None:
        people = [make_user(engine, name=name) for name in ("Zoe", "Abel", "Nina")]
        made = make_organization(engine, owners=[host], members=people)
        headers = auth_header(client.application, host)
        for query, expected in {
            "": ["Hanna Host", "Zoe", "Abel", "Nina"],
            "sort=name": ["Abel", "Hanna Host", "Nina", "Zoe"],
        }.items():
            seen, cursor = [], None
            while cursor is not None or not seen:
                page = client.get(
                    f"/api/organizations/{made.id}/members?limit=3&{query}{f'&cursor={cursor}' if cursor else ''}",
                    headers=headers,
                ).json
                seen += [item["user"]["name"] for item in page["items"]]
                cursor = page["next_cursor"]
            assert seen == expected


class TestAdd:
    @pytest.mark.parametrize("by", ["user_id", "email"])
    def test_by_id_or_address(
        self,
        client: FlaskClient,
        engine: Engine,
        organization: Organization,
        host: User,
        url: str,
        as_host: dict[str, str],
        by: str,
    ) -> None:
        nina = make_user(engine, name="Nina", email="Nina@Example.org")
        body = {"user_id": nina.id} if by == "user_id" else {"email": "nina@example.ORG"}
        answer = client.post(url, json=body, headers=as_host)
        assert answer.status_code == 201
        assert answer.json["user"] == {"id": nina.id, "name": "Nina"}
        assert answer.json["role"] == "member"
        assert roles(client, url, as_host)[nina.id] == "member"
        (entry,) = log(engine, organization.id)
        assert (entry.action, entry.actor_id, entry.changes) == (
            "organization.add_member",
            host.id,
            {"user_id": nina.id, "role": {"from": None, "to": "member"}},
        )

    def test_again_changes_nothing_and_another_role_is_a_change(
        self,
        client: FlaskClient,
        engine: Engine,
        organization: Organization,
        member: User,
        url: str,
        as_host: dict[str, str],
    ) -> None:
        same = client.post(url, json={"user_id": member.id}, headers=as_host)
        assert (same.status_code, log(engine, organization.id)) == (200, [])
        for role in ("owner", "member"):
            answer = client.post(url, json={"user_id": member.id, "role": role}, headers=as_host)
            assert (answer.status_code, answer.json["role"]) == (200, role)
        assert [entry.changes["role"] for entry in log(engine, organization.id)] == [
            {"from": "member", "to": "owner"},
            {"from": "owner", "to": "member"},
        ]
        assert log(engine, organization.id)[0].action == "organization.change_member"

    def test_is_for_owners_and_admins(
        self,
        app: Flask,
        client: FlaskClient,
        engine: Engine,
        url: str,
        as_member: dict[str, str],
        as_admin: dict[str, str],
    ) -> None:
        nina, stranger = make_user(engine), auth_header(app, make_user(engine, role="host"))
        body = {"user_id": nina.id}
        assert problem_of(client.post(url, json=body, headers=as_member)) == (403, "forbidden")
        assert problem_of(client.post(url, json=body, headers=stranger)) == (404, "organization_not_found")
        assert problem_of(client.post(url, json=body)) == (401, "unauthenticated")
        assert client.post(url, json=body, headers=as_admin).status_code == 201

    def test_tells_nobody_else_whether_an_account_exists(
        self,
        app: Flask,
        client: FlaskClient,
        engine: Engine,
        member: User,
        url: str,
        as_member: dict[str, str],
    ) -> None:
        """For an address that has an account and one that has none, the same answer."""
        stranger = auth_header(app, make_user(engine, role="host"))
        for headers in (as_member, stranger):
            known, unknown = (
                client.post(url, json={"email": email}, headers=headers).json
                for email in (member.email, "nobody@example.org")
            )
            known.pop("request_id"), unknown.pop("request_id")
            assert known == unknown

    def test_only_somebody_who_is_there(
        self, client: FlaskClient, engine: Engine, url: str, as_host: dict[str, str]
    ) -> None:
        closed = make_user(engine, email="closed@example.org")
        with transaction(engine) as session:
            session.execute(update(User).where(User.id == closed.id).values(deleted_at=func.now()))
        for body in (
            {"user_id": closed.id},
            {"email": "closed@example.org"},
            {"user_id": 10**9},
            {"email": "nobody@example.org"},
        ):
            assert problem_of(client.post(url, json=body, headers=as_host)) == (404, "user_not_found")

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({}, "#/user_id"),
            ({"role": "owner"}, "#/user_id"),
            ({"user_id": 1, "email": "a@example.org"}, "#/user_id"),
            ({"user_id": "1"}, "#/user_id"),
            ({"user_id": 0}, "#/user_id"),
            ({"user_id": 2**63}, "#/user_id"),
            ({"email": ""}, "#/email"),
            ({"email": "a\x00"}, "#/email"),
            ({"user_id": 1, "role": "admin"}, "#/role"),
            ({"user_id": 1, "rank": "owner"}, "#/rank"),
        ],
    )
    def test_is_strict(
        self, client: FlaskClient, url: str, as_host: dict[str, str], body: dict[str, Any], pointer: str
    ) -> None:
        assert pointers(client.post(url, json=body, headers=as_host)) == [pointer]

    def test_the_same_key_adds_once(
        self, client: FlaskClient, engine: Engine, url: str, as_host: dict[str, str]
    ) -> None:
        headers, body = {**as_host, "Idempotency-Key": "once"}, {"user_id": make_user(engine).id}
        first, again = (client.post(url, json=body, headers=headers) for _ in "ab")
        assert (again.status_code, again.json) == (201, first.json)
        assert again.headers["Idempotency-Replayed"] == "true"

    def test_nobody_belongs_to_more_than_requests_can_read_at_once(
        self, client: FlaskClient, engine: Engine, url: str, as_host: dict[str, str]
    ) -> None:
        busy = make_user(engine)
        with transaction(engine) as session:
            made = [Organization(name=f"{number}") for number in range(MEMBERSHIPS_MAX)]
            session.add_all(made)
            session.flush()
            session.add_all(
                OrganizationMember(organization_id=one.id, user_id=busy.id, role="member") for one in made
            )
        answer = client.post(url, json={"user_id": busy.id}, headers=as_host)
        assert problem_of(answer) == (409, "too_many_organizations")


class TestRemove:
    def test_members_leave_by_themselves(
        self,
        client: FlaskClient,
        engine: Engine,
        organization: Organization,
        host: User,
        member: User,
        url: str,
        as_host: dict[str, str],
        as_member: dict[str, str],
    ) -> None:
        assert client.delete(url, headers=as_member).status_code == 204
        assert roles(client, url, as_host) == {host.id: "owner"}
        assert problem_of(client.delete(url, headers=as_member)) == (404, "organization_not_found")
        (entry,) = log(engine, organization.id)
        assert (entry.action, entry.actor_id, entry.changes) == (
            "organization.remove_member",
            member.id,
            {"user_id": member.id, "role": {"from": "member", "to": None}},
        )

    @pytest.mark.parametrize("in_body", [True, False])
    def test_owners_and_admins_remove_anybody(
        self,
        client: FlaskClient,
        engine: Engine,
        host: User,
        member: User,
        url: str,
        as_host: dict[str, str],
        as_admin: dict[str, str],
        in_body: bool,
    ) -> None:
        for headers in (as_host, as_admin):
            client.post(url, json={"user_id": member.id}, headers=as_host)
            address = url if in_body else f"{url}/{member.id}"
            body = {"user_id": member.id} if in_body else None
            assert client.delete(address, json=body, headers=headers).status_code == 204
            assert roles(client, url, as_host) == {host.id: "owner"}
            assert problem_of(client.delete(address, json=body, headers=headers)) == (404, "member_not_found")

    def test_nobody_else_does(
        self,
        app: Flask,
        client: FlaskClient,
        engine: Engine,
        host: User,
        member: User,
        url: str,
        as_member: dict[str, str],
        as_admin: dict[str, str],
    ) -> None:
        stranger = auth_header(app, make_user(engine, role="host"))
        assert problem_of(client.delete(f"{url}/{host.id}", headers=as_member)) == (403, "forbidden")
        answer = client.delete(f"{url}/{member.id}", headers=stranger)
        assert problem_of(answer) == (404, "organization_not_found")
        assert problem_of(client.delete(f"{url}/{member.id}")) == (401, "unauthenticated")
        assert problem_of(client.delete(url, headers=as_admin)) == (404, "member_not_found")
        for nobody in (10**9, 10**30):
            answer = client.delete(f"{url}/{nobody}", headers=as_admin)
            assert problem_of(answer) == (404, "member_not_found")
        answer = client.delete(f"/api/organizations/{10**30}/members/1", headers=as_admin)
        assert problem_of(answer) == (404, "organization_not_found")

    def test_the_right_is_gone_with_the_answer(
        self,
        client: FlaskClient,
        engine: Engine,
        organization: Organization,
        member: User,
        url: str,
        as_host: dict[str, str],
        as_member: dict[str, str],
    ) -> None:
        event = f"/api/events/{make_event(engine, organization_id=organization.id).id}"
        assert client.patch(event, json={"title": "A"}, headers=as_member).status_code == 200
        client.delete(f"{url}/{member.id}", headers=as_host)
        answer = client.patch(event, json={"title": "B"}, headers=as_member)
        assert problem_of(answer) == (403, "forbidden")
        assert problem_of(client.get(url, headers=as_member)) == (404, "organization_not_found")


class TestTheLastOwner:
    def test_neither_leaves_nor_is_removed_nor_demoted(
        self,
        client: FlaskClient,
        host: User,
        member: User,
        url: str,
        as_host: dict[str, str],
        as_admin: dict[str, str],
    ) -> None:
        demotion = {"user_id": host.id, "role": "member"}
        for answer in (
            client.delete(url, headers=as_host),
            client.delete(f"{url}/{host.id}", headers=as_admin),
            client.post(url, json=demotion, headers=as_host),
            client.post(url, json=demotion, headers=as_admin),
        ):
            assert problem_of(answer) == (409, "last_owner")
        assert roles(client, url, as_host) == {host.id: "owner", member.id: "member"}

    def test_does_when_there_is_another(
        self,
        client: FlaskClient,
        host: User,
        member: User,
        url: str,
        as_host: dict[str, str],
        as_member: dict[str, str],
    ) -> None:
        client.post(url, json={"user_id": member.id, "role": "owner"}, headers=as_host)
        assert client.delete(url, headers=as_host).status_code == 204
        assert roles(client, url, as_member) == {member.id: "owner"}
        assert problem_of(client.delete(url, headers=as_member)) == (409, "last_owner")
