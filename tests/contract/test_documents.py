"""Every answer that a route describes is really given, and looks as it is described: to the last member.

`CheckedClient` holds each answer of these stories against the document; together they get every one there is.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final

import orjson
import pytest
from flask import Flask
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from api.contract import find_operation
from api.line_answers import (
    ACCEPT_PROBLEMS,
    BOOKING_PROBLEMS,
    CANCELLATION_PROBLEMS,
    JOIN_PROBLEMS,
    LEAVE_PROBLEMS,
)
from api.schemas.event_documents import SlotsDocument
from api.schemas.request_documents import RequestStatusDocument
from shared.clock import utc_now
from shared.db import transaction
from shared.domain.outcomes import REASONS
from shared.errors import NotFoundError
from shared.models import Event, User
from shared.services import line_pause
from shared.services.analytics import catch_up
from shared.settings import Settings
from tests.documents import CheckedClient, check_answer, load_strictly
from tests.factories import PASSWORD, auth_header, make_event, make_user
from tests.lines import LineDriver, await_that
from worker import heartbeat

STARTS_AT: Final = "2030-06-01T18:00:00Z"
BLUEPRINTS: Final = {
    "accounts",
    "account_export",
    "users",
    "events",
    "event_slots",
    "event_bookings",
    "event_decisions",
    "event_stats",
    "admin_analytics",
    "event_waitlist",
    "requests",
    "bookings",
    "interests",
    "hosts",
    "follows",
    "health",
}


class World:
    """An application whose answers are checked, and which of them were given; its line moves when told to."""

    def __init__(self, app: Flask, settings: Settings, engine: Engine) -> None:
        app.test_client_class = CheckedClient
        self.app, self.engine, self.client = app, engine, app.test_client()
        self.driver = LineDriver(settings, engine)
        self.seen: set[tuple[str, int]] = set()

    def ask(
        self, status: int, method: str, path: str, who: User | None = None, **options: Any
    ) -> TestResponse:
        """The answer, which has this status."""
        signed = {} if who is None else auth_header(self.app, who)
        headers = {**signed, **options.pop("headers", {})}
        answer = self.client.open(path, method=method, headers=headers, **options)
        assert answer.status_code == status, answer.text
        rule, _ = self.app.url_map.bind("").match(
            path.split("?", maxsplit=1)[0], method=method, return_rule=True
        )
        self.seen.add((rule.endpoint, status))
        return answer

    def changed(self, path: str, who: User | None = None) -> TestResponse:
        """What GET answers, asked twice: the second time it has not changed."""
        answer = self.ask(200, "GET", path, who)
        self.ask(304, "GET", path, who, headers={"If-None-Match": answer.headers["ETag"]})
        return answer

    def decided(self, status: int, method: str, path: str, who: User, **options: Any) -> TestResponse:
        """A request of the line, the 202 first, then the decision, for the same key."""
        headers = {"Idempotency-Key": f"{method} {path} {status}", "Prefer": "wait=0"}
        self.ask(202, method, path, who, headers=headers, **options)
        self.driver.decide_all()
        return self.ask(status, method, path, who, headers=headers, **options)


@pytest.fixture
def world(app: Flask, settings: Settings, engine: Engine) -> Iterator[World]:
    world = World(app, settings, engine)
    yield world
    world.driver.close()


def an_account(world: World) -> None:
    """Somebody's, from the registration to the end."""
    person = {"name": "Ada", "email": "ada@example.org", "password": PASSWORD}
    tokens = world.ask(201, "POST", "/api/auth/register", json=person).json
    mine = {"Authorization": f"Bearer {tokens['token']}"}
    world.ask(409, "POST", "/api/auth/register", json=person)
    world.ask(422, "POST", "/api/auth/register", json={**person, "email": "nobody"})
    world.ask(200, "POST", "/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    world.ask(200, "GET", "/api/auth/profile", headers=mine)
    world.ask(200, "PUT", "/api/auth/profile", headers=mine, json={"username": "Ada Lovelace"})
    own = f"/api/users/{tokens['user']['id']}"
    world.ask(200, "GET", own, headers=mine)
    world.ask(200, "PUT", own, headers=mine, json={"email": "ada.l@example.org"})
    world.ask(403, "PUT", own, headers=mine, json={"role": "host"})
    world.ask(404, "GET", "/api/users/999", headers=mine)
    passwords = {"current_password": PASSWORD, "new_password": "another-fine-password"}
    world.ask(204, "PUT", "/api/auth/change-password", headers=mine, json=passwords)
    world.ask(401, "PUT", "/api/auth/change-password", headers=mine, json=passwords)
    log_in = {"email": "ada.l@example.org", "password": "another-fine-password"}
    again = world.ask(200, "POST", "/api/auth/login", json=log_in).json
    world.ask(401, "POST", "/api/auth/login", json={**log_in, "password": PASSWORD})
    world.ask(204, "POST", "/api/auth/logout", headers={"Authorization": f"Bearer {again['token']}"})
    world.ask(401, "DELETE", "/api/auth/account", headers=mine, json={"password": PASSWORD})
    world.ask(204, "DELETE", "/api/auth/account", headers=mine, json={"password": log_in["password"]})
    world.ask(401, "GET", "/api/auth/profile", headers=mine)
    admin = make_user(world.engine, role="admin")
    assert world.ask(200, "GET", "/api/users?search=person&with_total=true", admin).json["total"] == 1
    world.ask(409, "PUT", f"/api/users/{admin.id}", admin, json={"role": "host"})
    world.ask(204, "DELETE", f"/api/users/{make_user(world.engine).id}", admin)


def an_event(world: World) -> None:
    """One with as little in it as may be, and one with everything."""
    host = make_user(world.engine, role="host")
    bare = {"title": "Bare", "starts_at": STARTS_AT, "capacity": 5}
    draft = world.ask(201, "POST", "/api/events", host, json=bare)
    assert draft.json["code"] is None
    whole = {**bare, "code": "FULL-1", "status": "scheduled", "sales_open_at": "2030-01-01T00:00:00Z"}
    key = {"Idempotency-Key": "made once"}
    made = world.ask(201, "POST", "/api/events", host, json=whole, headers=key)
    world.ask(201, "POST", "/api/events", host, json=whole, headers=key)
    world.ask(409, "POST", "/api/events", host, json=whole)
    path = f"/api/events/{made.json['id']}"
    for suffix in ("", "/view", "/slots", "/decisions", "/decisions/head"):
        world.changed(f"{path}{suffix}")
    world.changed(f"/api/events/slots/{made.json['id']}")
    world.changed("/api/events?with_total=true&limit=1", host)
    world.changed("/api/events/slots?with_total=true")
    world.ask(404, "GET", f"/api/events/{draft.json['id']}")
    world.ask(200, "GET", f"/api/events/{draft.json['id']}", host)
    old = {"If-Match": made.headers["ETag"]}
    world.ask(200, "PUT", path, host, json={**bare, "venue": "Hall"}, headers=old)
    world.ask(412, "PATCH", path, host, json={"capacity": 6}, headers=old)
    world.ask(200, "PATCH", path, host, json={"capacity": 6})
    world.ask(403, "DELETE", path, make_user(world.engine, role="host"))
    world.ask(204, "DELETE", path, host)


def bookings(world: World) -> None:
    """Made and given back at every address there is for it, and read by those who may."""
    host, guest = make_user(world.engine, role="host"), make_user(world.engine)
    event = make_event(
        world.engine, host=host, capacity=3, code="SMALL", sales_open_at=utc_now() - timedelta(1)
    )
    addresses = [
        (f"/api/bookings/{event.id}/book", {}),
        ("/api/bookings", {"event_id": event.id}),
        (f"/api/events/{event.id}/register", {}),
    ]
    for path, body in addresses:
        booking = world.decided(201, "POST", path, guest, json=body).json["booking"]
        _look_at(world, booking, event, guest, host)
        own = f"/api/bookings/{booking['id']}"
        refused = world.decided(409, "POST", path, guest, json={**body, "tickets": 2}).json
        assert refused["job"]["reason"] == "already_booked"
        if "register" in path:
            world.decided(200, "POST", f"/api/events/{event.id}/cancel", guest)
            world.decided(409, "POST", f"/api/events/{event.id}/cancel", guest)
        else:
            world.decided(200, "DELETE" if body else "PUT", own if body else f"{own}/cancel", guest)
            world.ask(409, "DELETE", own, guest)
        _withdraw(world, path, body)
    world.ask(404, "POST", f"/api/events/{event.id}/cancel", make_user(world.engine))


def _look_at(world: World, booking: dict[str, Any], event: Event, guest: User, host: User) -> None:
    world.ask(200, "GET", f"/api/bookings/{booking['id']}", guest)
    world.ask(200, "GET", f"/api/bookings/reference/{booking['reference']}", host)
    for path in ("/api/bookings?with_total=true", "/api/bookings/history", "/api/events/user/registrations"):
        assert world.ask(200, "GET", path, guest).json["items"]
    assert world.ask(200, "GET", f"/api/events/{event.id}/check-registration", guest).json["is_registered"]
    world.ask(200, "GET", f"/api/events/{event.id}/check-registration", host)
    assert world.ask(200, "GET", f"/api/events/{event.id}/bookings?with_total=true", host).json["total"]
    world.ask(403, "GET", f"/api/events/{event.id}/bookings", guest)
    assert "@" in world.ask(200, "GET", f"/api/events/{event.id}/bookings.csv", host).text
    world.ask(422, "GET", f"/api/events/{event.id}/bookings.csv?status=held", host)
    assert world.ask(200, "GET", "/api/auth/export", guest).json["bookings"]


def _withdraw(world: World, path: str, body: dict[str, Any]) -> None:
    """Somebody leaves the line before it is their turn."""
    leaver, headers = make_user(world.engine), {"Idempotency-Key": "leaves", "Prefer": "wait=0"}
    links = world.ask(202, "POST", path, leaver, json=body, headers=headers).json["links"]
    world.ask(202, "DELETE", links["withdraw"], leaver)
    world.driver.decide_all()
    answer = world.ask(200, "POST", path, leaver, json=body, headers=headers)
    assert answer.json["reason"] == "withdrawn_by_user"
    world.ask(409, "DELETE", links["withdraw"], leaver)


def a_waitlist(world: World) -> None:
    """Joined in two ways, left, and served; an offer that is declined, one that is accepted, one that is too late."""
    host, holder = make_user(world.engine, role="host"), make_user(world.engine)
    event = make_event(world.engine, host=host, capacity=1)
    listed, join = f"/api/events/{event.id}/waitlist", {"event_id": event.id}
    world.decided(409, "POST", "/api/waitlist/join", holder, json=join)
    world.decided(201, "POST", f"/api/bookings/{event.id}/book", holder)
    people = [make_user(world.engine) for _ in range(3)]
    for person in people:
        assert (
            world.decided(200, "POST", "/api/waitlist/join", person, json=join).json["status"] == "waitlisted"
        )
    for path, body in (("/api/bookings", join), (f"/api/events/{event.id}/register", {})):
        waits = {**body, "waitlist": True}
        assert world.decided(200, "POST", path, make_user(world.engine), json=waits).json["facts"]["entry_id"]
    leaver = make_user(world.engine)
    _withdraw(world, "/api/waitlist/join", join)
    world.decided(409, "DELETE", f"/api/waitlist/{event.id}", leaver)
    world.decided(200, "DELETE", f"/api/waitlist/{event.id}", people[2])
    world.ask(404, "DELETE", "/api/waitlist/999999", leaver)
    assert world.ask(200, "GET", f"{listed}?with_total=true", host).json["total"] == 4
    assert world.ask(200, "GET", f"{listed}?limit=1", host).headers["Link"]
    assert world.ask(200, "GET", listed).json["items"] is None
    world.decided(200, "POST", f"/api/events/{event.id}/cancel", holder)
    for person, answer, status in ((people[0], "decline", 200), (people[1], "accept", 201)):
        assert world.ask(200, "GET", f"{listed}?status=offered", host).json["items"]
        (entry,) = world.ask(200, "GET", "/api/waitlist?with_total=true", person).json["items"]
        link = entry["offer"]["links"][answer]
        world.ask(404, "POST", link, holder)
        world.decided(status, "POST", link, person)
        world.ask(409, "POST", link, person)
    assert world.ask(200, "GET", "/api/waitlist?status=declined", people[0]).json["items"]
    shown = world.ask(200, "GET", "/api/bookings/requests", people[1]).json["items"]
    assert {request["kind"] for request in shown} == {"accept_offer", "join_waitlist"}


def what_is_refused(world: World) -> None:
    """At the door, and by a decision that came too late for the one who asked."""
    guest = make_user(world.engine)
    soon = make_event(world.engine, starts_at=utc_now() + timedelta(hours=1), capacity=2, max_per_booking=2)
    path = f"/api/bookings/{soon.id}/book"
    for tickets, code in ((11, "validation_failed"), (3, "too_many_tickets")):
        status = 422 if tickets > 10 else 409
        assert world.ask(status, "POST", path, guest, json={"tickets": tickets}).json["code"] == code
    booking = world.decided(201, "POST", path, guest, json={"tickets": 2}).json["booking"]
    closed = world.decided(409, "PUT", f"/api/bookings/{booking['id']}/cancel", guest)
    assert closed.json["code"] == "cancellation_closed"
    fields: list[dict[str, Any]] = [
        {"status": "draft"},
        {"status": "cancelled"},
        {"sales_paused": True},
        {"sales_open_at": utc_now() + timedelta(days=1)},
        {"sales_close_at": utc_now() - timedelta(days=1)},
    ]
    for field in fields:
        event = make_event(world.engine, **field)
        status = 404 if field.get("status") == "draft" else 409
        world.ask(status, "POST", f"/api/bookings/{event.id}/book", guest)


def requests_that_are_followed(world: World) -> None:
    """In the line, in a pause, decided, and read from the ledger when Redis knows nothing any more."""
    guest, admin = make_user(world.engine), make_user(world.engine, role="admin")
    event = make_event(world.engine, capacity=1)
    link = _book(world, event, guest)["links"]["status"]
    with transaction(world.engine) as session:
        line_pause.pause(session, actor_id=admin.id, reason="maintenance")
    world.app.extensions["guichet"].snapshots.refresh_once()
    assert world.changed(link, guest).json["paused"]["reason"] == "maintenance"
    assert _book(world, event, make_user(world.engine))["paused"]
    with transaction(world.engine) as session:
        line_pause.resume(session, actor_id=admin.id)
    world.driver.decide_all()
    assert world.changed(f"{link}?wait=1", admin).json["status"] == "confirmed"
    stream = world.ask(200, "GET", f"{link}/stream", guest)
    messages = [chunk.split(b"data: ")[1] for chunk in stream.iter_encoded()]
    for message in messages:
        load_strictly(RequestStatusDocument, orjson.loads(message))
    assert messages
    world.ask(204, "GET", f"{link}/stream", guest, headers={"Last-Event-ID": "decided"})
    world.ask(401, "GET", f"{link}/stream?token=1.2")
    world.ask(422, "GET", f"{link}/stream?other=1")
    _book(world, make_event(world.engine), guest)
    assert len(world.ask(200, "GET", "/api/bookings/requests", guest).json["items"]) == 2
    assert world.ask(200, "GET", "/api/bookings/requests?limit=1", guest).headers["Link"]
    world.driver.redis.flushall()
    assert world.ask(200, "GET", link, guest).json["status"] == "confirmed"


def an_event_that_is_called_off(world: World) -> None:
    """Its host finds the request among their own, and the ledger has rows that stood in no line."""
    host, guest = make_user(world.engine, role="host"), make_user(world.engine)
    event = make_event(world.engine, host=host)
    _book(world, event, guest)
    world.driver.decide_all()
    world.ask(200, "PATCH", f"/api/events/{event.id}", host, json={"status": "cancelled"})
    world.driver.decide_all()
    (request,) = world.ask(200, "GET", "/api/bookings/requests", host).json["items"]
    assert (request["kind"], request["status"], request["booking"]) == ("call_off", "done", None)
    kinds = [row["kind"] for row in world.ask(200, "GET", f"/api/events/{event.id}/decisions").json["items"]]
    assert kinds[-2:] == ["call_off_slice", "call_off"]
    admin = make_user(world.engine, role="admin")
    world.ask(204, "DELETE", f"/api/users/{guest.id}", admin)
    (row,) = world.ask(200, "GET", f"/api/events/{event.id}/bookings", host).json["items"]
    assert row["attendee"]["email"].endswith("@invalid")


def those_who_follow(world: World) -> None:
    """An event before its sale, and its host."""
    host, fan = make_user(world.engine, role="host"), make_user(world.engine)
    event = make_event(world.engine, host=host, sales_open_at=utc_now() + timedelta(days=1))
    interest, following = f"/api/events/{event.id}/interest", f"/api/hosts/{host.id}/follow"
    world.changed(f"/api/hosts/{host.id}")
    for _ in range(2):
        world.ask(200, "POST", interest, fan)
        world.ask(200, "POST", following, fan)
    assert len(world.ask(200, "GET", "/api/interests?with_total=true", fan).json["items"]) == 1
    assert world.ask(200, "GET", f"{interest}?with_total=true", host).json["interested_count"] == 1
    assert len(world.ask(200, "GET", "/api/following?with_total=true", fan).json["items"]) == 1
    world.ask(403, "GET", interest, fan)
    world.ask(409, "POST", following, host)
    world.ask(204, "DELETE", interest, fan)
    world.ask(204, "DELETE", following, fan)
    for fields in ({}, {"status": "cancelled"}, {"sales_close_at": utc_now()}):
        late = make_event(world.engine, **fields)
        world.ask(409, "POST", f"/api/events/{late.id}/interest", fan)
    world.ask(404, "GET", f"/api/hosts/{fan.id}")


def health(world: World) -> None:
    """Without a worker, and with one."""
    world.ask(200, "GET", "/healthz")
    assert "worker" in world.ask(503, "GET", "/readyz").json["problems"]
    heartbeat.beat(world.driver.redis, "somebody")
    await_that(lambda: world.client.get("/readyz").status_code == 200, what="a worker that is ready")
    world.ask(200, "GET", "/readyz")


def _book(world: World, event: Event, who: User) -> dict[str, Any]:
    answer: dict[str, Any] = world.ask(202, "POST", f"/api/bookings/{event.id}/book", who).json
    return answer


def figures(world: World) -> None:
    """Of an event with a booking, and of everything."""
    host, admin = make_user(world.engine, role="host"), make_user(world.engine, role="admin")
    event = make_event(world.engine, host=host, price_minor=500)
    world.decided(201, "POST", f"/api/bookings/{event.id}/book", make_user(world.engine))
    while catch_up(world.engine):
        pass
    stats = f"/api/events/{event.id}/stats"
    assert world.ask(200, "GET", stats, host).json["revenue"] == [{"currency": "EUR", "revenue_minor": 500}]
    world.ask(403, "GET", stats, make_user(world.engine))
    world.ask(422, "GET", f"{stats}?from=2030-01-02&to=2030-01-01", host)
    world.ask(200, "GET", "/api/admin/dashboard", admin)
    assert world.ask(200, "GET", "/api/admin/analytics?from=2026-01-01&to=2026-12-31", admin).json["daily"]
    world.ask(403, "GET", "/api/admin/analytics", host)


STORIES: Final[list[Callable[[World], None]]] = [
    an_account,
    an_event,
    bookings,
    a_waitlist,
    what_is_refused,
    requests_that_are_followed,
    an_event_that_is_called_off,
    those_who_follow,
    figures,
    health,
]


class TestEveryDescribedAnswer:
    def test_is_given_and_looks_as_described(self, world):
        for story in STORIES:
            story(world)
        described = {
            (rule.endpoint, status)
            for rule in world.app.url_map.iter_rules()
            if rule.endpoint.split(".")[0] in BLUEPRINTS
            for status in find_operation(world.app.view_functions[rule.endpoint]).answers
        }
        assert described - world.seen == set()


class TestReasons:
    def test_of_a_refusal_are_all_described(self):
        """But two that are told otherwise, with a document that is no problem, and one that no client is told."""
        told = {*BOOKING_PROBLEMS, *CANCELLATION_PROBLEMS, *JOIN_PROBLEMS, *LEAVE_PROBLEMS, *ACCEPT_PROBLEMS}
        assert REASONS.keys() - told == {"withdrawn_by_user", "withdrawn_by_admin", "offer_not_due"}


class TestTheCheck:
    """It can fail."""

    @pytest.mark.parametrize(
        "document",
        [
            {"event_id": 1},
            {"event_id": 1, "slots": 2, "more": 3},
            {"event_id": 1, "slots": -1},
            {"event_id": "1", "slots": 2},
            {"event_id": 1, "slots": None},
            [],
        ],
    )
    def test_refuses_a_document_that_is_not_the_described_one(self, document):
        with pytest.raises(AssertionError):
            load_strictly(SlotsDocument, document)

    @pytest.mark.parametrize(
        ("member", "value"),
        [("more", 1), ("created_at", "2030-01-15T09:30:00Z"), ("sales", "maybe"), ("code", 1)],
    )
    def test_refuses_an_answer_with_another_member(self, app, client, engine, monkeypatch, member, value):
        document = client.get(f"/api/events/{make_event(engine).id}").json
        monkeypatch.setattr("api.routes.events.event_document", lambda _event: {**document, member: value})
        answer = client.get(f"/api/events/{document['id']}")
        assert answer.status_code == 200
        with pytest.raises(AssertionError, match=member):
            check_answer(app, answer)

    @pytest.mark.parametrize(
        "change",
        [
            lambda answer: setattr(answer, "status_code", 202),
            lambda answer: setattr(answer, "content_type", "text/html"),
            lambda answer: answer.headers.set("Location", "/"),
            lambda answer: answer.headers.remove("ETag"),
        ],
        ids=["status", "media type", "header too many", "header missing"],
    )
    def test_refuses_what_stands_around_it(self, app, client, engine, change):
        answer = client.get(f"/api/events/{make_event(engine).id}/slots")
        check_answer(app, answer)
        change(answer)
        with pytest.raises(AssertionError):
            check_answer(app, answer)

    def test_refuses_a_code_that_is_not_the_routes(self, app, client, monkeypatch):
        def refuse(*_: object) -> None:
            raise NotFoundError("user_not_found")

        monkeypatch.setattr("api.routes.event_slots.get_readable_event", refuse)
        with pytest.raises(AssertionError, match="user_not_found"):
            check_answer(app, client.get("/api/events/1/slots"))

    def test_refuses_a_route_that_nobody_described(self, app):
        app.add_url_rule("/strange", view_func=lambda: {"what": "is this"})
        with pytest.raises(AssertionError, match="does not know"):
            check_answer(app, app.test_client().get("/strange"))
