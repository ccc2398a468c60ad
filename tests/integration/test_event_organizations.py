"""Events that belong to an organization: how they are shown, found and put into it. What its members may: test_event_members.py."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, func, text, update

from shared.clock import utc_now
from shared.db import Session, transaction
from shared.models import Event, Organization, User
from shared.store.events import EventFilters, list_events
from shared.store.paging import PageRequest
from tests.event_calls import add_booking, audit_rows, event_body, pointers, problem_of
from tests.factories import auth_header, make_event, make_organization, make_user, remove_member
from tests.plans import nodes_of

pytestmark = pytest.mark.usefixtures("checked")


@pytest.fixture
def event(engine: Engine, host: User, organization: Organization) -> Event:
    return make_event(engine, host=host, organization_id=organization.id)


def ids(client: FlaskClient, query: str, headers: dict[str, str] | None = None) -> set[int]:
    answer = client.get(f"/api/events?{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    return {item["id"] for item in answer.json["items"]}


def find_sorts(nodes: list[dict[str, Any]]) -> list[str]:
    return [node["Node Type"] for node in nodes if "Sort" in node["Node Type"]]


class TestShown:
    def test_wherever_an_event_is(
        self,
        client: FlaskClient,
        engine: Engine,
        event: Event,
        organization: Organization,
        as_member: dict[str, str],
        member: User,
    ) -> None:
        add_booking(engine, event.id, member)
        shown = {
            "id": organization.id,
            "name": "Cello Festival",
            "logo_url": "https://cello.example/logo.svg",
        }
        assert client.get(f"/api/events/{event.id}").json["organization"] == shown
        assert client.get("/api/events").json["items"][0]["organization"] == shown
        registrations = client.get("/api/events/user/registrations", headers=as_member).json
        assert registrations["items"][0]["organization"] == shown

    def test_none_is_null(self, client: FlaskClient, engine: Engine) -> None:
        assert client.get(f"/api/events/{make_event(engine).id}").json["organization"] is None

    def test_another_name_is_another_etag(
        self, client: FlaskClient, engine: Engine, event: Event, organization: Organization
    ) -> None:
        etag = client.get(f"/api/events/{event.id}").headers["ETag"]
        with transaction(engine) as session:
            session.execute(update(Organization).where(Organization.id == organization.id).values(name="Bow"))
        answer = client.get(f"/api/events/{event.id}", headers={"If-None-Match": etag})
        assert (answer.status_code, answer.json["organization"]["name"]) == (200, "Bow")


class TestFilter:
    def test_shows_this_organizations_only(
        self, client: FlaskClient, engine: Engine, event: Event, organization: Organization, host: User
    ) -> None:
        make_event(engine, host=host)
        make_event(engine, host=host, organization_id=make_organization(engine).id)
        assert ids(client, f"organization_id={organization.id}") == {event.id}
        assert ids(client, "organization_id=999999") == set()
        for refused in ("0", "x", "99999999999999999999"):
            assert pointers(client.get(f"/api/events?organization_id={refused}")) == ["?organization_id"]

    def test_reads_its_own_index(self, engine: Engine, organization: Organization, host: User) -> None:
        """On 20,000 events, a hundred of them the organization's: the page reads those, not the others."""
        with transaction(engine) as session:
            session.execute(
                text("""
                    insert into events (host_id, organization_id, title, time_zone, starts_at, ends_at,
                        sales_close_at, capacity, status)
                    select :host, case when n % 200 = 0 then cast(:organization as bigint) end, 'e' || n, 'UTC', at,
                        at + interval '2 hours', at, 10, 'scheduled'
                    from generate_series(1, 20000) n, lateral (select now() + n * interval '1 minute') t (at)
                """),
                {"host": host.id, "organization": organization.id},
            )
            session.execute(text("analyze events"))

        def read(session: Session) -> None:
            list_events(session, EventFilters(organization_id=organization.id), PageRequest(sort="starts_at"))

        (scan,) = (node for node in nodes_of(engine, read) if node.get("Relation Name") == "events")
        assert (scan["Node Type"], scan["Index Name"]) == ("Index Scan", "events_organization_idx")
        assert not find_sorts(nodes_of(engine, read))


class TestDrafts:
    def test_are_shown_to_members_in_lists_and_alone(
        self,
        app: Flask,
        client: FlaskClient,
        engine: Engine,
        host: User,
        organization: Organization,
        member: User,
        as_member: dict[str, str],
    ) -> None:
        draft = make_event(engine, host=host, organization_id=organization.id, status="draft")
        make_event(engine, host=host, status="draft")
        make_event(engine, organization_id=make_organization(engine, owners=[host]).id, status="draft")
        stranger = auth_header(app, make_user(engine, role="host"))
        assert ids(client, "status=draft", as_member) == {draft.id}
        assert ids(client, "", as_member) == {draft.id}
        assert client.get(f"/api/events/{draft.id}", headers=as_member).status_code == 200
        for headers in (stranger, None):
            assert ids(client, "status=draft", headers) == set()
            answer = client.get(f"/api/events/{draft.id}", headers=headers)
            assert problem_of(answer) == (404, "event_not_found")
        remove_member(engine, member)
        assert ids(client, "status=draft", as_member) == set()
        assert problem_of(client.get(f"/api/events/{draft.id}", headers=as_member)) == (
            404,
            "event_not_found",
        )


class TestInterest:
    def test_of_a_member_shows_a_draft_until_they_are_removed(
        self,
        client: FlaskClient,
        engine: Engine,
        organization: Organization,
        member: User,
        as_member: dict[str, str],
    ) -> None:
        draft = make_event(
            engine,
            organization_id=organization.id,
            status="draft",
            sales_open_at=utc_now() + timedelta(days=1),
        )
        assert client.post(f"/api/events/{draft.id}/interest", headers=as_member).status_code == 200
        assert len(client.get("/api/interests", headers=as_member).json["items"]) == 1
        remove_member(engine, member)
        assert client.get("/api/interests", headers=as_member).json["items"] == []


class TestPlacing:
    def test_a_member_creates_events_in_it(
        self, client: FlaskClient, engine: Engine, organization: Organization, as_host: dict[str, str]
    ) -> None:
        body = event_body(organization_id=organization.id)
        answer = client.post("/api/events", json=body, headers=as_host)
        assert (answer.status_code, answer.json["organization"]["id"]) == (201, organization.id)
        assert audit_rows(engine, answer.json["id"])[0].changes["organization_id"] == organization.id

    def test_only_members_and_admins_put_one_into_it(
        self,
        app: Flask,
        client: FlaskClient,
        engine: Engine,
        organization: Organization,
        as_admin: dict[str, str],
    ) -> None:
        other = make_user(engine, role="host")
        as_other, event = auth_header(app, other), make_event(engine, host=other)
        url, change = f"/api/events/{event.id}", {"organization_id": organization.id}
        for answer in (
            client.post("/api/events", json=event_body(**change), headers=as_other),
            client.patch(url, json=change, headers=as_other),
            client.put(url, json=event_body(**change), headers=as_other),
        ):
            assert problem_of(answer) == (403, "forbidden")
        assert client.get(url).json["organization"] is None
        answer = client.patch(url, json=change, headers=as_admin)
        assert answer.json["organization"]["id"] == organization.id
        assert audit_rows(engine, event.id)[-1].changes == {
            "organization_id": {"from": None, "to": organization.id}
        }

    def test_one_that_is_not_there_is_not_found(
        self,
        client: FlaskClient,
        engine: Engine,
        as_host: dict[str, str],
        as_admin: dict[str, str],
        host: User,
    ) -> None:
        gone = make_organization(engine, owners=[host], deleted_at=func.now())
        for organization_id in (gone.id, 10**9, 2**63 - 1):
            body = event_body(organization_id=organization_id)
            for headers in (as_host, as_admin):
                answer = client.post("/api/events", json=body, headers=headers)
                assert problem_of(answer) == (404, "organization_not_found")
        for wrong in (0, True, "1", 2**63):
            body = event_body(organization_id=wrong)
            assert pointers(client.post("/api/events", json=body, headers=as_host)) == ["#/organization_id"]

    def test_null_takes_it_out_and_leaving_it_out_does_not(
        self, client: FlaskClient, event: Event, as_host: dict[str, str], organization: Organization
    ) -> None:
        url = f"/api/events/{event.id}"
        whole = client.put(url, json=event_body(), headers=as_host)
        assert whole.json["organization"]["id"] == organization.id
        answer = client.put(url, json=event_body(organization_id=None), headers=as_host)
        assert answer.json["organization"] is None

    def test_a_host_who_left_still_edits_the_event_in_it(
        self,
        client: FlaskClient,
        engine: Engine,
        event: Event,
        organization: Organization,
        host: User,
        as_host: dict[str, str],
    ) -> None:
        remove_member(engine, host)
        change = {"title": "Opera", "organization_id": organization.id}
        answer = client.patch(f"/api/events/{event.id}", json=change, headers=as_host)
        assert (answer.status_code, answer.json["organization"]["id"]) == (200, organization.id)
