"""Nothing that an admin or an operator changes goes unrecorded: every verb there is, over HTTP and from the shell."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from rq import Queue
from rq.job import JobStatus
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer
from sqlalchemy import Engine

from api.contract import find_operation
from scripts.caller import caller
from scripts.cli import main
from shared.clock import rfc3339, utc_now
from shared.line import keys
from shared.models import User
from shared.settings import Settings
from tests.factories import PASSWORD, auth_header, make_event, make_organization, make_user
from tests.lines import LineDriver, environment_of
from worker.entries import TASK_QUEUE

# Routes of admins that change nothing although they are no GET.
HARMLESS: Final[set[str]] = set()
# Changes that hosts and users make too: an admin's are recorded. The rest is found by `auth="admin"`.
SHARED_VERBS: Final = {
    "POST /api/events",
    "PUT /api/events/{event_id}",
    "PATCH /api/events/{event_id}",
    "DELETE /api/events/{event_id}",
    "POST /api/organizations",
    "PUT /api/organizations/{organization_id}",
    "PATCH /api/organizations/{organization_id}",
    "DELETE /api/organizations/{organization_id}",
    "POST /api/organizations/{organization_id}/members",
    "DELETE /api/organizations/{organization_id}/members",
    "DELETE /api/organizations/{organization_id}/members/{user_id}",
    "PUT /api/users/{user_id}",
    "DELETE /api/users/{user_id}",
    "PUT /api/bookings/{booking_id}/cancel",
    "DELETE /api/bookings/{booking_id}",
}


@dataclass
class Stage:
    """An installation with something of everything."""

    app: Flask
    client: FlaskClient
    engine: Engine
    settings: Settings
    redis: Redis
    admin: User
    host: User
    driver: LineDriver
    seen: set[str] = field(default_factory=set)

    def call(self, method: str, path: str, body: Any = None, user: User | None = None) -> Any:
        """One call; anything but success ends the test."""
        response = self.client.open(
            path,
            method=method,
            json=body,
            headers={**auth_header(self.app, user or self.admin), "Prefer": "wait=0"},
        )
        assert response.status_code < 300, response.text
        return response.get_json() if response.data else None

    def event(self, **fields: Any) -> int:
        """An event of the host's."""
        return make_event(self.engine, host=self.host, **fields).id

    def organization(self, **people: Any) -> str:
        """The address of an organization of the host's."""
        return f"/api/organizations/{make_organization(self.engine, owners=[self.host], **people).id}"

    def stand(self, event_id: int) -> str:
        """Somebody in that event's line."""
        job_id: str = self.call("POST", f"/api/bookings/{event_id}/book", {}, make_user(self.engine))[
            "job_id"
        ]
        return job_id

    def booking(self) -> str:
        """Somebody's booking."""
        user = make_user(self.engine)
        self.call("POST", f"/api/bookings/{self.event()}/book", {}, user)
        self.driver.decide_all()
        booking_id: str = self.call("GET", "/api/bookings", None, user)["items"][0]["id"]
        return booking_id

    def failed_task(self) -> str:
        """A task as RQ leaves it that has failed."""
        queue = Queue(TASK_QUEUE, connection=self.redis, serializer=JSONSerializer)
        job = queue.enqueue("worker.tasks.prune")
        queue.remove(job)
        job.set_status(JobStatus.FAILED)
        FailedJobRegistry(queue=queue).add(job, ttl=3600)
        return str(job.id)

    def log(self) -> list[Any]:
        """The audit log as the API shows it, newest first."""
        items: list[Any] = self.call("GET", "/api/admin/audit-log?limit=100")["items"]
        return items


@pytest.fixture
def stage(
    app: Flask, client: FlaskClient, engine: Engine, settings: Settings, redis_client: "Redis"
) -> Iterator[Stage]:
    driver = LineDriver(settings, engine)
    admin, host = make_user(engine, role="admin", password=PASSWORD), make_user(engine, role="host")
    yield Stage(app, client, engine, settings, redis_client, admin, host, driver)
    driver.close()


def _event_body() -> dict[str, Any]:
    return {"title": "Open air", "starts_at": rfc3339(utc_now() + timedelta(days=9)), "capacity": 9}


def _decided(stage: Stage) -> None:
    stage.stand(stage.event())
    stage.driver.decide_all()


# verb → (what happens before, path, body) and the action and kind of target that must be recorded.
Verb = tuple[Callable[[Stage], tuple[str, Any]], str, str]
VERBS: Final[dict[str, Verb]] = {
    "POST /api/events": (lambda s: ("/api/events", _event_body()), "event.create", "event"),
    "PUT /api/events/{event_id}": (
        lambda s: (f"/api/events/{s.event()}", _event_body()),
        "event.change",
        "event",
    ),
    "PATCH /api/events/{event_id}": (
        lambda s: (f"/api/events/{s.event()}", {"status": "cancelled"}),
        "event.call_off",
        "event",
    ),
    "DELETE /api/events/{event_id}": (lambda s: (f"/api/events/{s.event()}", None), "event.delete", "event"),
    "POST /api/organizations": (
        lambda s: ("/api/organizations", {"name": "Cello Festival"}),
        "organization.create",
        "organization",
    ),
    "PUT /api/organizations/{organization_id}": (
        lambda s: (s.organization(), {"name": "Cello Festival"}),
        "organization.change",
        "organization",
    ),
    "PATCH /api/organizations/{organization_id}": (
        lambda s: (s.organization(), {"logo_url": "https://cello.example/logo.svg"}),
        "organization.change",
        "organization",
    ),
    "DELETE /api/organizations/{organization_id}": (
        lambda s: (s.organization(), None),
        "organization.delete",
        "organization",
    ),
    "POST /api/organizations/{organization_id}/members": (
        lambda s: (f"{s.organization()}/members", {"user_id": make_user(s.engine).id}),
        "organization.add_member",
        "organization",
    ),
    "DELETE /api/organizations/{organization_id}/members": (
        lambda s: (f"{s.organization(members=[s.admin])}/members", None),
        "organization.remove_member",
        "organization",
    ),
    "DELETE /api/organizations/{organization_id}/members/{user_id}": (
        lambda s: (f"{s.organization(members=[s.admin])}/members/{s.admin.id}", None),
        "organization.remove_member",
        "organization",
    ),
    "PUT /api/users/{user_id}": (
        lambda s: (f"/api/users/{s.host.id}", {"role": "attendee"}),
        "user.update",
        "user",
    ),
    "DELETE /api/users/{user_id}": (lambda s: (f"/api/users/{s.host.id}", None), "user.delete", "user"),
    "PUT /api/bookings/{booking_id}/cancel": (
        lambda s: (f"/api/bookings/{s.booking()}/cancel", None),
        "booking.cancel",
        "booking",
    ),
    "DELETE /api/bookings/{booking_id}": (
        lambda s: (f"/api/bookings/{s.booking()}", None),
        "booking.cancel",
        "booking",
    ),
    "POST /api/admin/queue/pause": (
        lambda s: ("/api/admin/queue/pause", {"reason": "doors late"}),
        "line.pause",
        "line",
    ),
    "POST /api/admin/queue/resume": (
        lambda s: (s.call("POST", "/api/admin/queue/pause", {}), ("/api/admin/queue/resume", None))[1],
        "line.resume",
        "line",
    ),
    "POST /api/admin/queue/clean": (
        lambda s: (_decided(s), ("/api/admin/queue/clean", {"state": "finished", "reason": "room"}))[1],  # type: ignore[func-returns-value]
        "line.clean",
        "line",
    ),
    "POST /api/admin/queue/drain": (
        lambda s: (
            "/api/admin/queue/drain",
            {"event_id": _waiting_event(s), "reason": "wrong price"},
        ),
        "event.drain",
        "event",
    ),
    "POST /api/admin/tasks/{task_id}/retry": (
        lambda s: (f"/api/admin/tasks/{s.failed_task()}/retry", {"reason": "mended"}),
        "task.retry",
        "task",
    ),
    "DELETE /api/admin/tasks/{task_id}": (
        lambda s: (f"/api/admin/tasks/{s.failed_task()}", None),
        "task.drop",
        "task",
    ),
}


def _waiting_event(stage: Stage) -> int:
    event_id = stage.event()
    stage.stand(event_id)
    return event_id


def test_every_change_that_admins_can_make_is_in_this_list(app: Flask) -> None:
    found = set(HARMLESS | SHARED_VERBS)
    for rule in app.url_map.iter_rules():
        operation = find_operation(app.view_functions[rule.endpoint])
        if operation is not None and operation.auth == "admin":
            path = rule.rule.replace("<", "{").replace(">", "}")
            path = "/".join(
                "{" + part.rpartition(":")[2] if ":" in part else part for part in path.split("/")
            )
            found |= {f"{method} {path}" for method in (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}}
    assert found - HARMLESS == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_over_http(stage: Stage, verb: str) -> None:
    """Who, what, to what, when, by which request; and why, where the body can say it."""
    prepare, action, target_type = VERBS[verb]
    path, body = prepare(stage)
    before = len(stage.log())
    since = utc_now() - timedelta(minutes=1)
    response = stage.client.open(
        path,
        method=verb.split(maxsplit=1)[0],
        json=body,
        headers={**auth_header(stage.app, stage.admin), "X-Request-ID": "ask-4711", "Prefer": "wait=0"},
    )
    assert response.status_code < 300, response.text
    new = stage.log()[: len(stage.log()) - before]
    assert [item["action"] for item in new] == [action]
    (item,) = new
    assert item["actor"]["id"] == stage.admin.id
    assert (item["target_type"], item["request_id"]) == (target_type, "ask-4711")
    assert item["target_id"]
    assert rfc3339(since) < item["at"] < rfc3339(utc_now() + timedelta(minutes=1))
    if body and "reason" in body:
        assert item["reason"] == body["reason"]
    if target_type not in ("line", "task"):
        assert item["target_id"] in f"{path} {response.headers.get('Location')} {body}"


COMMANDS: Final[dict[str, tuple[Callable[[Stage], list[str]], str]]] = {
    "create-admin": (lambda s: ["create-admin", "new@example.org"], "user.make_admin"),
    "queue pause": (lambda s: ["queue", "pause", "--reason", "doors late"], "line.pause"),
    "queue resume": (
        lambda s: (s.call("POST", "/api/admin/queue/pause", {}), ["queue", "resume"])[1],
        "line.resume",
    ),
    "queue clean": (lambda s: (_decided(s), ["queue", "clean", "finished"])[1], "line.clean"),  # type: ignore[func-returns-value]
    "queue drain": (
        lambda s: ["queue", "drain", str(_waiting_event(s)), "--reason", "wrong price"],
        "event.drain",
    ),
    "audit --repair": (
        lambda s: (s.redis.hset(keys.counters(0), "accepted", 7), s.driver.close(), ["audit", "--repair"])[2],
        "line.repair",
    ),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_from_the_shell(stage: Stage, command: str) -> None:
    """A command on the server has no admin behind it: who typed it is the account on the server."""
    prepare, action = COMMANDS[command]
    arguments = prepare(stage)
    before = len(stage.log())
    result = CliRunner().invoke(main, arguments, env=environment_of(stage.settings))
    assert result.exit_code == 0, result.output
    new = stage.log()[: len(stage.log()) - before]
    assert [(item["action"], item["actor"]) for item in new] == [(action, None)]
    assert new[0]["changes"]["by"] == caller()


def test_what_only_reads_somebodys_data_is_not_recorded(stage: Stage) -> None:
    booking = stage.booking()
    before = stage.log()
    for path in (f"/api/users/{stage.host.id}", f"/api/bookings/{booking}", "/api/admin/queue/stats"):
        stage.call("GET", path)
    assert stage.log() == before
