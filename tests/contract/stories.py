"""Accounts, events, those who follow, figures, health: what happens to them, until every answer there is has been given. The line's: line_stories.py."""

from datetime import timedelta
from typing import Final

from shared.clock import utc_now
from shared.services.analytics import catch_up
from tests.contract.answers import World
from tests.factories import PASSWORD, make_event, make_user
from tests.lines import await_that
from worker import heartbeat

STARTS_AT: Final = "2030-06-01T18:00:00Z"


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


def health(world: World) -> None:
    """Without a worker, and with one."""
    world.ask(200, "GET", "/healthz")
    assert "worker" in world.ask(503, "GET", "/readyz").json["problems"]
    heartbeat.beat(world.driver.redis, "somebody")
    await_that(lambda: world.client.get("/readyz").status_code == 200, what="a worker that is ready")
    world.ask(200, "GET", "/readyz")
