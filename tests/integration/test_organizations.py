"""Organizations over HTTP: the list, making, changing and deleting one."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, func, select, text

from shared.db import transaction
from shared.domain.organizations import MEMBERSHIPS_MAX
from shared.models import AuditLogEntry, Event, Organization, OrganizationMember, User
from shared.store.organizations import OrganizationFilters, list_organizations
from shared.store.paging import PageRequest
from tests.event_calls import pointers, problem_of
from tests.factories import auth_header, make_event, make_organization, make_user
from tests.plans import indexes_of

pytestmark = pytest.mark.usefixtures("checked")

URLS = {
    "logo_url": "https://cello.example/logo.svg",
    "website_url": "https://cello.example/",
    "background_url": "http://cello.example/hall.jpg",
}


def log(engine: Engine, organization_id: int) -> list[AuditLogEntry]:
    with transaction(engine) as session:
        query = select(AuditLogEntry).where(
            AuditLogEntry.target_type == "organization", AuditLogEntry.target_id == str(organization_id)
        )
        return list(session.scalars(query.order_by(AuditLogEntry.id)))


def names(client: FlaskClient, query: str = "", headers: dict[str, str] | None = None) -> list[str]:
    answer = client.get(f"/api/organizations?{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json["items"]]


@pytest.fixture
def organization(engine: Engine, host: User) -> Organization:
    return make_organization(engine, name="Cello Festival", owners=[host], **URLS)


@pytest.fixture
def url(organization: Organization) -> str:
    return f"/api/organizations/{organization.id}"


class TestCreate:
    def test_the_creator_owns_it(
        self, client: FlaskClient, engine: Engine, host: User, as_host: dict[str, str]
    ) -> None:
        body = {"name": " Cello Festival ", **URLS}
        answer = client.post("/api/organizations", json=body, headers=as_host)
        assert answer.status_code == 201
        made = answer.json
        assert set(made) == {"id", "name", "logo_url", "website_url", "background_url", "created_at"}
        assert {name: made[name] for name in body} == {"name": "Cello Festival", **URLS}
        assert answer.headers["Location"] == f"/api/organizations/{made['id']}"
        assert client.get(answer.headers["Location"]).json == made
        members = client.get(f"/api/organizations/{made['id']}/members", headers=as_host).json["items"]
        assert [(item["user"]["id"], item["role"]) for item in members] == [(host.id, "owner")]
        (entry,) = log(engine, made["id"])
        assert (entry.action, entry.actor_id) == ("organization.create", host.id)
        assert entry.changes["name"] == "Cello Festival"

    def test_addresses_are_none_unless_given(self, client: FlaskClient, as_host: dict[str, str]) -> None:
        made = client.post("/api/organizations", json={"name": "Bow"}, headers=as_host).json
        assert [made[name] for name in URLS] == [None, None, None]

    def test_is_for_hosts_and_admins(
        self, client: FlaskClient, as_attendee: dict[str, str], as_admin: dict[str, str]
    ) -> None:
        body = {"name": "Bow"}
        assert problem_of(client.post("/api/organizations", json=body)) == (401, "unauthenticated")
        answer = client.post("/api/organizations", json=body, headers=as_attendee)
        assert problem_of(answer) == (403, "forbidden")
        assert client.post("/api/organizations", json=body, headers=as_admin).status_code == 201

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({}, "#/name"),
            ({"name": " "}, "#/name"),
            ({"name": "x" * 201}, "#/name"),
            ({"name": "a\x00b"}, "#/name"),
            ({"name": 1}, "#/name"),
            ({"name": None}, "#/name"),
            ({"name": "Bow", "owner": 1}, "#/owner"),
            ({"name": "Bow", "logo_url": "javascript:alert(1)"}, "#/logo_url"),
            ({"name": "Bow", "website_url": "https://ada:secret@cello.example"}, "#/website_url"),
            ({"name": "Bow", "background_url": "https://cello.example/" + "x" * 2000}, "#/background_url"),
            ({"name": "Bow", "background_url": ""}, "#/background_url"),
            ({"name": "Bow", "background_url": ["https://cello.example/"]}, "#/background_url"),
        ],
    )
    def test_is_strict(
        self, client: FlaskClient, as_host: dict[str, str], body: dict[str, Any], pointer: str
    ) -> None:
        assert pointers(client.post("/api/organizations", json=body, headers=as_host)) == [pointer]
        assert names(client) == []

    def test_the_same_key_makes_one(self, client: FlaskClient, as_host: dict[str, str]) -> None:
        headers = {**as_host, "Idempotency-Key": "once"}
        first, again = (
            client.post("/api/organizations", json={"name": "Bow"}, headers=headers) for _ in "ab"
        )
        assert (again.status_code, again.json) == (201, first.json)
        assert again.headers["Idempotency-Replayed"] == "true"
        other = client.post("/api/organizations", json={"name": "Arrow"}, headers=headers)
        assert problem_of(other) == (422, "idempotency_key_reused")
        assert names(client) == ["Bow"]

    def test_nobody_belongs_to_more_than_requests_can_read_at_once(
        self, client: FlaskClient, engine: Engine, host: User, as_host: dict[str, str]
    ) -> None:
        with transaction(engine) as session:
            made = [Organization(name=f"{number}") for number in range(MEMBERSHIPS_MAX)]
            session.add_all(made)
            session.flush()
            session.add_all(
                OrganizationMember(organization_id=organization.id, user_id=host.id, role="member")
                for organization in made
            )
        answer = client.post("/api/organizations", json={"name": "Bow"}, headers=as_host)
        assert problem_of(answer) == (409, "too_many_organizations")
        assert answer.json["organizations_max"] == MEMBERSHIPS_MAX
        assert client.delete(f"/api/organizations/{made[0].id}/members", headers=as_host).status_code == 204
        assert client.post("/api/organizations", json={"name": "Bow"}, headers=as_host).status_code == 201


class TestList:
    @pytest.fixture
    def organizations(self, engine: Engine, host: User) -> None:
        now = datetime.now(UTC)
        for days, name in enumerate(["Opera House", "Cello Festival", "Festival of Bows", "Çirque d'été"]):
            make_organization(engine, name=name, created_at=now - timedelta(days=days))
        make_organization(engine, name="Hidden Festival", owners=[host], deleted_at=func.now())

    @pytest.mark.usefixtures("organizations")
    def test_by_name_or_by_age(self, client: FlaskClient) -> None:
        by_name = names(client)
        assert by_name == names(client, "sort=name&order=asc")
        assert names(client, "sort=name&order=desc") == by_name[::-1]
        by_age = ["Opera House", "Cello Festival", "Festival of Bows", "Çirque d'été"]
        assert (names(client, "sort=created_at"), sorted(by_name)) == (by_age, sorted(by_age))

    @pytest.mark.usefixtures("organizations")
    def test_search_finds_beginnings_of_words(self, client: FlaskClient) -> None:
        for query, expected in {
            "festival": {"Cello Festival", "Festival of Bows"},
            "FEST": {"Cello Festival", "Festival of Bows"},
            "fest cel": {"Cello Festival"},
            "estival": set(),
            "çirque": {"Çirque d'été"},
            "d'ét": {"Çirque d'été"},
            "ete cirq": {"Çirque d'été"},
            "bows.OPER": set(),
            "of-bo": {"Festival of Bows"},
            "'; drop table organizations; --": set(),
            "!!!": set(),
            "a & | ! :* <-> \\": set(),
        }.items():
            answer = client.get("/api/organizations", query_string={"search": query})
            assert (query, {item["name"] for item in answer.json["items"]}) == (query, expected)

    @pytest.mark.usefixtures("organizations")
    def test_page_by_page_and_counted(self, client: FlaskClient) -> None:
        seen, cursor = [], None
        while cursor is not None or not seen:
            query: dict[str, Any] = {
                "limit": 3,
                "with_total": "true",
                **({"cursor": cursor} if cursor else {}),
            }
            page = client.get("/api/organizations", query_string=query)
            assert ("Link" in page.headers, page.json["total"]) == (page.json["next_cursor"] is not None, 4)
            seen += [item["name"] for item in page.json["items"]]
            cursor = page.json["next_cursor"]
        assert seen == names(client)

    def test_ones_own(
        self,
        app: Flask,
        client: FlaskClient,
        engine: Engine,
        organization: Organization,
        as_host: dict[str, str],
    ) -> None:
        member = make_user(engine)
        make_organization(engine, name="Other", members=[member])
        assert names(client, "mine=true", as_host) == ["Cello Festival"]
        assert names(client, "mine=true", auth_header(app, member)) == ["Other"]
        assert names(client, "mine=true", auth_header(app, make_user(engine))) == []
        assert names(client, "mine=false") == ["Cello Festival", "Other"]
        assert problem_of(client.get("/api/organizations?mine=true")) == (401, "unauthenticated")
        answer = client.get("/api/organizations?mine=true", headers=as_host)
        assert answer.headers["Cache-Control"] == "private, no-cache"

    def test_what_did_not_change_is_304(self, client: FlaskClient, url: str, as_host: dict[str, str]) -> None:
        for path in ("/api/organizations", url):
            etag = client.get(path).headers["ETag"]
            assert client.get(path, headers={"If-None-Match": etag}).status_code == 304
            client.patch(url, json={"name": f"Not {path}"}, headers=as_host)
            assert client.get(path, headers={"If-None-Match": etag}).status_code == 200

    def test_reads_what_it_shows_among_many(self, engine: Engine) -> None:
        with transaction(engine) as session:
            fill = "insert into organizations (name) select 'Name ' || n from generate_series(1, 20000) n"
            session.execute(text(fill))
            session.execute(text("analyze organizations"))
        for filters, sort, index in (
            (OrganizationFilters(), "name", "organizations_name_idx"),
            (OrganizationFilters(), "created_at", "organizations_created_idx"),
            (OrganizationFilters(search="nam 777"), "name", "organizations_words_idx"),
            (OrganizationFilters(only_ids=frozenset({3, 4})), "name", "organizations_pkey"),
        ):
            read = partial(list_organizations, filters=filters, page=PageRequest(sort=sort))
            assert indexes_of(engine, read) == {index}

    def test_is_strict(self, client: FlaskClient) -> None:
        for query in ("sort=id", "search=", "mine=yes", "limit=0", "unknown=1", "cursor=abc"):
            assert pointers(client.get(f"/api/organizations?{query}")) == [f"?{query.partition('=')[0]}"]


class TestShow:
    def test_one_that_is_not_there(self, client: FlaskClient, engine: Engine) -> None:
        hidden = make_organization(engine, deleted_at=func.now())
        for organization_id in (hidden.id, 10**9, 10**30):
            answer = client.get(f"/api/organizations/{organization_id}")
            assert problem_of(answer) == (404, "organization_not_found")


class TestChange:
    def test_patch_changes_only_what_is_named(
        self,
        client: FlaskClient,
        engine: Engine,
        organization: Organization,
        url: str,
        as_host: dict[str, str],
    ) -> None:
        before = client.get(url).json
        answer = client.patch(url, json={"name": "Bow", "logo_url": None}, headers=as_host)
        assert (answer.status_code, answer.json) == (200, {**before, "name": "Bow", "logo_url": None})
        (entry,) = log(engine, organization.id)
        assert (entry.action, entry.changes) == (
            "organization.change",
            {
                "name": {"from": "Cello Festival", "to": "Bow"},
                "logo_url": {"from": URLS["logo_url"], "to": None},
            },
        )

    def test_put_replaces_everything(self, client: FlaskClient, url: str, as_host: dict[str, str]) -> None:
        answer = client.put(url, json={"name": "Bow"}, headers=as_host)
        assert [answer.json[name] for name in ("name", *URLS)] == ["Bow", None, None, None]
        assert pointers(client.put(url, json=URLS, headers=as_host)) == ["#/name"]

    def test_what_was_read_may_be_put_back_and_changes_nothing(
        self,
        client: FlaskClient,
        engine: Engine,
        organization: Organization,
        url: str,
        as_host: dict[str, str],
    ) -> None:
        before = client.get(url).json
        body = {name: before[name] for name in ("name", *URLS)}
        assert client.put(url, json=body, headers=as_host).json == before
        assert client.patch(url, headers=as_host).json == before
        assert log(engine, organization.id) == []

    def test_is_for_its_owners_and_admins(
        self, app: Flask, client: FlaskClient, engine: Engine, host: User, as_admin: dict[str, str]
    ) -> None:
        member = make_user(engine, role="host")
        url = f"/api/organizations/{make_organization(engine, owners=[host], members=[member]).id}"
        for user in (member, make_user(engine, role="host")):
            headers = auth_header(app, user)
            for answer in (
                client.patch(url, json={"name": "Mine"}, headers=headers),
                client.put(url, json={"name": "Mine"}, headers=headers),
                client.delete(url, headers=headers),
            ):
                assert problem_of(answer) == (403, "forbidden")
        assert problem_of(client.patch(url, json={})) == (401, "unauthenticated")
        assert client.patch(url, json={"name": "Ours"}, headers=as_admin).json["name"] == "Ours"
        for gone in (10**9, 10**30):
            answer = client.patch(f"/api/organizations/{gone}", json={}, headers=as_admin)
            assert problem_of(answer) == (404, "organization_not_found")


class TestDelete:
    def test_ends_it_and_its_memberships(
        self,
        client: FlaskClient,
        engine: Engine,
        organization: Organization,
        url: str,
        as_host: dict[str, str],
    ) -> None:
        assert client.delete(url, headers=as_host).status_code == 204
        for answer in (
            client.get(url),
            client.get(f"{url}/members", headers=as_host),
            client.patch(url, json={"name": "Bow"}, headers=as_host),
            client.delete(url, headers=as_host),
        ):
            assert problem_of(answer) == (404, "organization_not_found")
        assert names(client) == names(client, "mine=true", as_host) == []
        assert log(engine, organization.id)[-1].action == "organization.delete"
        with transaction(engine) as session:
            assert session.scalar(select(func.count()).select_from(OrganizationMember)) == 0

    def test_is_refused_while_it_has_events(
        self,
        client: FlaskClient,
        engine: Engine,
        host: User,
        organization: Organization,
        url: str,
        as_host: dict[str, str],
    ) -> None:
        draft = make_event(engine, host=host, organization_id=organization.id, status="draft")
        past = make_event(
            engine,
            host=host,
            organization_id=organization.id,
            starts_at=datetime.now(UTC) - timedelta(days=3),
        )
        answer = client.delete(url, headers=as_host)
        assert (*problem_of(answer), answer.json["events"]) == (409, "organization_has_events", 2)
        assert client.delete(f"/api/events/{past.id}", headers=as_host).status_code == 204
        assert problem_of(client.delete(url, headers=as_host)) == (409, "organization_has_events")
        taken_out = client.patch(f"/api/events/{draft.id}", json={"organization_id": None}, headers=as_host)
        assert taken_out.status_code == 200
        assert client.delete(url, headers=as_host).status_code == 204
        with transaction(engine) as session:
            assert session.get_one(Event, past.id).organization_id == organization.id
