"""An organization's members manage its events as their host does, until they are removed."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, select

from shared.db import transaction
from shared.models import ControlRequest, Decision, Event, Organization, User
from shared.settings import Settings
from tests.event_calls import add_booking, event_body, problem_of
from tests.factories import auth_header, make_event, make_organization, make_user, remove_member
from tests.lines import LineDriver

pytestmark = pytest.mark.usefixtures("checked")


@pytest.fixture
def event(engine: Engine, host: User, organization: Organization) -> Event:
    return make_event(engine, host=host, organization_id=organization.id)


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
        remove_member(engine, member)
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
        remove_member(engine, member)
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
