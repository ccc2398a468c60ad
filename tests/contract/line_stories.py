"""Bookings, the waitlist and what becomes of requests, until every answer that the line gives has been given."""

from datetime import timedelta
from typing import Any

import orjson

from api.schemas.request_documents import RequestStatusDocument
from shared.clock import utc_now
from shared.db import transaction
from shared.models import Event, User
from shared.services import line_pause
from tests.contract.answers import World
from tests.documents import load_strictly
from tests.factories import make_event, make_user


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


def _book(world: World, event: Event, who: User) -> dict[str, Any]:
    answer: dict[str, Any] = world.ask(202, "POST", f"/api/bookings/{event.id}/book", who).json
    return answer
