"""Events that belong to an organization: how they are shown, and that its members manage them like their host."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, delete, func, select, text, update

from shared.clock import utc_now
from shared.db import Session, transaction
from shared.models import ControlRequest, Decision, Event, Organization, OrganizationMember, User
from shared.settings import Settings
from shared.store.events import EventFilters, list_events
from shared.store.paging import PageRequest
from tests.documents import CheckedClient
from tests.event_calls import add_booking, audit_rows, event_body, pointers, problem_of
from tests.factories import auth_header, make_event, make_organization, make_user
from tests.lines import LineDriver
from tests.plans import nodes_of


@pytest.fixture(autouse=True)
def _checked(app: Flask) -> None:
    """Every answer is held against the contract."""
    app.test_client_class = CheckedClient


@pytest.fixture
def member(engine: Engine) -> User:
    """An attendee by role: what counts is the membership."""
    return make_user(engine)


@pytest.fixture
def organization(engine: Engine, host: User, member: User) -> Organization:
    return make_organization(
        engine,
        name="Cello Festival",
        logo_url="https://cello.example/logo.svg",
        owners=[host],
        members=[member],
    )


@pytest.fixture
def as_member(app: Flask, member: User) -> dict[str, str]:
    return auth_header(app, member)


@pytest.fixture
def event(engine: Engine, host: User, organization: Organization) -> Event:
    return make_event(engine, host=host, organization_id=organization.id)


def remove(engine: Engine, user: User) -> None:
    with transaction(engine) as session:
        session.execute(delete(OrganizationMember).where(OrganizationMember.user_id == user.id))


# What is another in each answer.
WITHIN = re.compile(r'"(request_id|impressions|at|as_of|read_at)":("[^"]*"|[0-9]+)')


def event_paths(app: Flask, event_id: int) -> list[str]:
    """The addresses of everything that can be read of one event."""
    return sorted(
        rule.rule.replace("<int:event_id>", str(event_id))
        for rule in app.url_map.iter_rules()
        if rule.arguments == {"event_id"}
        and "GET" in (rule.methods or ())
        and rule.rule.startswith("/api/events/")
    )


def ids(client: FlaskClient, query: str, headers: dict[str, str] | None = None) -> set[int]:
    answer = client.get(f"/api/events?{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    return {item["id"] for item in answer.json["items"]}


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


def find_sorts(nodes: list[dict[str, Any]]) -> list[str]:
    return [node["Node Type"] for node in nodes if "Sort" in node["Node Type"]]


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
        remove(engine, member)
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
        remove(engine, member)
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
        remove(engine, host)
        change = {"title": "Opera", "organization_id": organization.id}
        answer = client.patch(f"/api/events/{event.id}", json=change, headers=as_host)
        assert (answer.status_code, answer.json["organization"]["id"]) == (200, organization.id)


class TestMembersManage:
    def test_changing_calling_off_and_hiding(
        self,
        client: FlaskClient,
        engine: Engine,
        event: Event,
        as_member: dict[str, str],
        organization: Organization,
        host: User,
    ) -> None:
        url = f"/api/events/{event.id}"
        assert client.patch(url, json={"title": "Opera"}, headers=as_member).json["title"] == "Opera"
        assert client.put(url, json=event_body(status="scheduled"), headers=as_member).status_code == 200
        assert client.patch(url, json={"status": "cancelled"}, headers=as_member).status_code == 200
        with transaction(engine) as session:
            (request,) = session.scalars(select(ControlRequest))
        assert (request.kind, request.acting_as) == ("call_off", "host")
        other = make_event(engine, host=host, organization_id=organization.id)
        assert client.delete(f"/api/events/{other.id}", headers=as_member).status_code == 204

    def test_bookings_and_line(
        self, client: FlaskClient, engine: Engine, event: Event, as_member: dict[str, str]
    ) -> None:
        attendee = make_user(engine)
        booking = add_booking(engine, event.id, attendee)
        attendees = client.get(f"/api/events/{event.id}/bookings", headers=as_member).json["items"]
        assert [item["attendee"]["email"] for item in attendees] == [attendee.email]
        history = client.get(f"/api/bookings?event_id={event.id}", headers=as_member).json["items"]
        assert [item["id"] for item in history] == [str(booking.id)]
        assert client.get(f"/api/bookings/{booking.id}", headers=as_member).status_code == 200
        assert client.get(f"/api/events/{event.id}/line", headers=as_member).json["depth"] == 0

    def test_an_attendees_booking_is_cancelled_in_the_hosts_right(
        self,
        app: Flask,
        client: FlaskClient,
        engine: Engine,
        settings: Settings,
        event: Event,
        as_member: dict[str, str],
    ) -> None:
        attendee = make_user(engine)
        driver = LineDriver(settings, engine)
        now = {"Prefer": "wait=0"}
        client.post(f"/api/bookings/{event.id}/book", headers={**auth_header(app, attendee), **now})
        driver.decide_all()
        (booking,) = client.get(f"/api/bookings?event_id={event.id}", headers=as_member).json["items"]
        url = f"/api/bookings/{booking['id']}"
        assert (
            client.get(f"/api/bookings/reference/{booking['reference']}", headers=as_member).json == booking
        )
        assert client.delete(url, headers={**as_member, **now}).status_code == 202
        driver.decide_all()
        driver.close()
        assert client.get(url, headers=as_member).json["status"] == "cancelled"
        with transaction(engine) as session:
            row = session.scalars(select(Decision).where(Decision.kind == "cancel")).one()
        assert row.facts["acting_as"] == "host"

    def test_until_they_are_removed(
        self, client: FlaskClient, engine: Engine, event: Event, member: User, as_member: dict[str, str]
    ) -> None:
        booking = add_booking(engine, event.id, make_user(engine))
        url = f"/api/events/{event.id}"
        assert client.patch(url, json={"title": "Opera"}, headers=as_member).status_code == 200
        remove(engine, member)
        calls: list[Callable[[], Any]] = [
            lambda: client.patch(url, json={"title": "Carmen"}, headers=as_member),
            lambda: client.put(url, json=event_body(), headers=as_member),
            lambda: client.delete(url, headers=as_member),
            lambda: client.get(f"{url}/bookings", headers=as_member),
            lambda: client.get(f"{url}/line", headers=as_member),
        ]
        for call in calls:
            assert problem_of(call()) == (403, "forbidden")
        for answer in (
            client.get(f"/api/bookings/{booking.id}", headers=as_member),
            client.delete(f"/api/bookings/{booking.id}", headers=as_member),
        ):
            assert problem_of(answer) == (404, "booking_not_found")
        assert client.get(f"/api/bookings?event_id={event.id}", headers=as_member).json["items"] == []

    @pytest.mark.parametrize("status", ["draft", "scheduled"])
    def test_whatever_is_shown_of_an_event_is_shown_to_them_as_to_its_host(
        self,
        app: Flask,
        client: FlaskClient,
        engine: Engine,
        host: User,
        organization: Organization,
        member: User,
        as_host: dict[str, str],
        as_member: dict[str, str],
        status: str,
    ) -> None:
        """At every address there is; and after their removal as to anybody."""
        event = make_event(engine, host=host, organization_id=organization.id, status=status)
        add_booking(engine, event.id, make_user(engine))
        paths = event_paths(app, event.id)
        assert len(paths) > 8

        def look(headers: dict[str, str]) -> dict[str, tuple[int, str]]:
            answers = {path: client.get(path, headers=headers) for path in paths}
            return {
                path: (answer.status_code, WITHIN.sub("", answer.text)) for path, answer in answers.items()
            }

        assert look(as_member) == look(as_host)
        assert f"/api/events/{event.id}/bookings" in paths
        remove(engine, member)
        removed, stranger = look(as_member), look(auth_header(app, make_user(engine)))
        assert removed == stranger
        assert removed != look(as_host)

    def test_of_their_own_organization_only(
        self, app: Flask, client: FlaskClient, engine: Engine, event: Event
    ) -> None:
        neighbour = make_user(engine, role="host")
        make_organization(engine, owners=[neighbour])
        answer = client.patch(f"/api/events/{event.id}", json={}, headers=auth_header(app, neighbour))
        assert problem_of(answer) == (403, "forbidden")
