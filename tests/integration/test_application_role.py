"""The whole life of an installation as the application's role: nothing that the code does is forbidden to it."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from redis import Redis
from sqlalchemy import text

from scripts.audit import run_audit
from scripts.cli import main
from scripts.embedded.postgres import EmbeddedPostgres
from scripts.repairs import run_repair
from scripts.seed import seed
from shared.clock import rfc3339, utc_now
from shared.db import make_engine, transaction
from shared.services.line import LineClient
from shared.services.line_gate import LineGate
from shared.settings import Settings
from tests.account_calls import bearer
from tests.conftest import make_settings
from tests.database_roles import RoleDatabase, role_database
from tests.event_calls import event_body
from tests.factories import PASSWORD
from tests.lines import LineDriver, environment_of
from worker import tasks
from worker.compose import make_handlers
from worker.schedule import Schedule

OTHER_PASSWORD = "another-fine-password"
Who = dict[str, str]


@pytest.fixture
def roles(postgres: EmbeddedPostgres) -> Iterator[RoleDatabase]:
    with role_database(postgres) as database:
        yield database


@pytest.fixture
def settings(roles: RoleDatabase, redis_url: str, tmp_path: Path) -> Settings:
    """As the application's role, and nobody else."""
    return make_settings(roles.application_url, redis_url, tmp_path)


class Life:
    """People who call the API, a booking worker, a task worker: all of them with the application's role."""

    def __init__(self, app: Flask, settings: Settings, redis: Redis) -> None:
        self._app, self._redis = app, redis
        self.engine = make_engine(settings.database_url)
        self._line = LineClient(settings, redis, LineGate(settings, self.engine, redis))
        self._schedule = Schedule(settings, self.engine, self._line, redis, handlers=make_handlers())
        self._driver = LineDriver(settings, self.engine)

    def close(self) -> None:
        """Everybody lets go."""
        self._driver.close()
        self._line.runner.close()
        self.engine.dispose()

    def call(self, method: str, path: str, who: Who, body: Any = None) -> Any:
        """What a call answers, which must succeed; what it put into the line is decided."""
        headers = {**who, "Prefer": "wait=0"}
        if method == "POST" and not path.startswith("/auth"):
            headers["Idempotency-Key"] = secrets.token_hex(8)
        answer = self._app.test_client().open(f"/api{path}", method=method, json=body, headers=headers)
        assert 200 <= answer.status_code < 300, (method, path, answer.text)
        if answer.status_code == 202:
            self.decide()
        return answer.json if answer.is_json else answer.text

    def register(self, name: str, role: str = "attendee") -> Who:
        """Somebody new, signed in."""
        body = {"name": name, "email": f"{name.lower()}@example.org", "password": PASSWORD, "role": role}
        return bearer(self.call("POST", "/auth/register", {}, body))

    def decide(self) -> None:
        """Everything that waits; afterwards the door knows."""
        self._driver.decide_all()
        self._app.extensions["guichet"].snapshots.refresh_once()

    def take_turns(self) -> None:
        """Every entry of the schedule, more than once: one may find what another has left."""
        for _ in range(2):
            for key in self._redis.scan_iter("guichet:schedule:*"):
                self._redis.delete(key)
            assert len(self._schedule.run_once()) == len(self._schedule.entries)
            self.decide()


@pytest.fixture
def life(app: Flask, settings: Settings, redis_client: Redis) -> Iterator[Life]:
    life = Life(app, settings, redis_client)
    yield life
    life.close()


@pytest.fixture
def guichet(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """A command in this environment, which must succeed."""
    for name, value in environment_of(settings).items():
        if name.startswith("GUICHET_") or name in ("DATABASE_URL", "REDIS_URL"):
            monkeypatch.setenv(name, value)

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    return run


class TestEverythingThatIsDone:
    def test_may_be_done(
        self,
        life: Life,
        guichet: Callable[..., str],
        settings: Settings,
        caplog: pytest.LogCaptureFixture,
        tmp_path: Path,
    ) -> None:
        guichet("create-admin", "root@example.org", "--password", PASSWORD)
        admin = bearer(
            life.call("POST", "/auth/login", {}, {"email": "root@example.org", "password": PASSWORD})
        )
        host, ada, bob = life.register("Hanna", "host"), life.register("Ada"), life.register("Bob")
        event = _hold_a_sale(life, host, ada, bob)
        _steer(life, admin, event, guichet)
        _change_accounts(life, admin, host, ada)
        _call_off(life, host, ada, bob)
        for name in ("Ada", "Hanna", "Bob"):
            who = bearer(_log_in(life, name, OTHER_PASSWORD if name == "Ada" else PASSWORD))
            life.call(
                "DELETE", "/auth/account", who, {"password": OTHER_PASSWORD if name == "Ada" else PASSWORD}
            )
            life.take_turns()
        _keep_house(life, guichet, tmp_path)
        life.close()
        assert run_repair(settings).mends == []
        assert run_audit(settings).ok
        assert [record for record in caplog.records if "permission denied" in str(vars(record))] == []

    def test_may_be_a_demo(self, settings: Settings, life: Life) -> None:
        assert seed(settings)
        life.decide()
        life.take_turns()
        assert run_audit(settings).ok

    def test_may_be_shown_to_admins_of_production_without_a_warning(
        self,
        make_app: Callable[[Settings], Flask],
        settings: Settings,
        roles: RoleDatabase,
        guichet: Callable[..., str],
    ) -> None:
        guichet("create-admin", "root@example.org", "--password", PASSWORD)
        for url, warned in ((roles.application_url, False), (roles.superuser_url, True)):
            production = replace(settings, env="production", database_url=url)
            client = make_app(production).test_client()
            body = {"email": "root@example.org", "password": PASSWORD}
            who = bearer(client.post("/api/auth/login", json=body).json)
            found = client.get("/api/admin/health", headers=who).json
            assert ("database_role" in found["warnings"]) == warned
            assert found["postgres"]["connections"] > 0
            assert "database_role" not in client.get("/readyz").json.get("warnings", {})


class TestTheDemo:
    def test_keeps_production_closed(
        self, make_app: Callable[[Settings], Flask], settings: Settings, life: Life
    ) -> None:
        assert seed(settings)
        production = make_app(replace(settings, env="production")).test_client()
        answer = production.get("/readyz")
        assert (answer.status_code, "public" in answer.json["problems"]["demo"]) == (503, True)
        assert "demo" not in make_app(settings).test_client().get("/readyz").json["problems"]


def _log_in(life: Life, name: str, password: str) -> Any:
    body = {"email": f"{name.lower()}@example.org", "password": password}
    return life.call("POST", "/auth/login", {}, body)


def _hold_a_sale(life: Life, host: Who, ada: Who, bob: Who) -> int:
    """A sale that opens, sells out, has a waitlist, and makes an offer of what comes back; with all around it."""
    organization = life.call("POST", "/organizations", host, {"name": "Hall"})["id"]
    life.call("PATCH", f"/organizations/{organization}", host, {"name": "The Hall"})
    member = life.call("GET", "/auth/profile", bob)["id"]
    life.call("POST", f"/organizations/{organization}/members", host, {"user_id": member})
    life.call("DELETE", f"/organizations/{organization}/members/{member}", host)
    host_id = life.call("GET", "/auth/profile", host)["id"]
    life.call("POST", f"/hosts/{host_id}/follow", ada)
    opens_at = rfc3339(utc_now() + timedelta(hours=1))
    body = event_body(capacity=2, organization_id=organization, status="scheduled", sales_open_at=opens_at)
    event: int = life.call("POST", "/events", host, body)["id"]
    for who in (ada, bob):
        life.call("POST", f"/events/{event}/interest", who)
    life.call("DELETE", f"/events/{event}/interest", bob)
    life.call("PATCH", f"/events/{event}", host, {"sales_open_at": None, "price_minor": 1500})
    life.take_turns()
    life.call("POST", f"/events/{event}/register", ada, {"tickets": 2})
    life.call("POST", "/waitlist/join", bob, {"event_id": event, "tickets": 1})
    life.call("POST", f"/events/{event}/cancel", ada)
    life.take_turns()
    [offer] = [entry["offer"]["id"] for entry in life.call("GET", "/waitlist", bob)["items"]]
    life.call("POST", f"/waitlist/offers/{offer}/accept", bob)
    life.take_turns()
    notices = life.call("GET", "/notifications", bob)["items"]
    life.call("POST", f"/notifications/{notices[0]['id']}/read", bob)
    life.call("POST", "/notifications/read-all", bob)
    for path in (
        "/auth/export",
        f"/events/{event}",
        "/events?search=concert",
        "/bookings",
        "/organizations?search=hall",
    ):
        life.call("GET", path, bob)
    for path in (f"/events/{event}/stats", f"/events/{event}/bookings.csv", f"/events/{event}/decisions"):
        life.call("GET", path, host)
    return event


def _steer(life: Life, admin: Who, event: int, guichet: Callable[..., str]) -> None:
    """What admins do over HTTP and from a shell."""
    life.call("POST", "/admin/queue/pause", admin, {"reason": "a test"})
    life.call("POST", "/admin/queue/resume", admin)
    life.call("POST", "/admin/queue/drain", admin, {"event_id": event, "reason": "a test"})
    life.call("POST", "/admin/queue/clean", admin, {"state": "finished"})
    for path in (
        "health",
        "dashboard",
        "analytics",
        "audit-log",
        "events",
        "queue/stats",
        "tasks",
        "users?search=ada",
    ):
        life.call("GET", f"/admin/{path}", admin)
    life.call("GET", "/monitoring/sync-status", admin)
    guichet("queue", "pause", "--seconds", "60")
    guichet("queue", "resume")
    guichet("queue", "jobs")


def _change_accounts(life: Life, admin: Who, host: Who, ada: Who) -> None:
    """Names, passwords, roles, log-ins that fail and that end."""
    life.call("PUT", "/auth/profile", ada, {"name": "Ada L."})
    pair = _log_in(life, "Ada", PASSWORD)
    life.call("POST", "/auth/refresh", {}, {"refresh_token": pair["refresh_token"]})
    body = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
    life.call("PUT", "/auth/change-password", ada, body)
    with pytest.raises(AssertionError, match="invalid_credentials"):
        _log_in(life, "Ada", PASSWORD)
    life.call("POST", "/auth/logout", bearer(_log_in(life, "Ada", OTHER_PASSWORD)))
    someone = life.call("GET", "/auth/profile", life.register("Eve"))["id"]
    life.call("PUT", f"/users/{someone}", admin, {"role": "host"})
    life.call("DELETE", f"/users/{someone}", admin)


def _call_off(life: Life, host: Who, ada: Who, bob: Who) -> None:
    """An event that is called off, with bookings and a waitlist; and a draft that is deleted."""
    event = life.call("POST", "/events", host, event_body(capacity=1, status="scheduled"))["id"]
    life.call("POST", f"/events/{event}/register", ada, {"tickets": 1})
    life.call("POST", "/waitlist/join", bob, {"event_id": event, "tickets": 1})
    life.call("DELETE", f"/waitlist/{event}", bob)
    life.call("POST", "/waitlist/join", bob, {"event_id": event, "tickets": 1})
    life.call("PATCH", f"/events/{event}", host, {"status": "cancelled"})
    draft = life.call("POST", "/events", host, event_body())["id"]
    life.call("DELETE", f"/events/{draft}", host)
    life.take_turns()


def _keep_house(life: Life, guichet: Callable[..., str], folder: Path) -> None:
    """What runs at night, and commands; rows are made old enough to be pruned by nobody but time, so the statements run
    on what there is.
    """
    tasks.prune()
    tasks.audit_ledgers()
    tasks.check_analytics()
    tasks.rebuild_analytics()
    for arguments in (
        ["analytics"],
        ["analytics", "--rebuild"],
        ["audit"],
        ["migrate"],
        ["backup", str(folder / "b")],
    ):
        guichet(*arguments)
    with transaction(life.engine) as session:
        assert session.scalar(text("select ended_at is not null from ledger_audits"))
