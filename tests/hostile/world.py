"""What hostile requests meet: an actor for each role, objects of every kind, a line that moves at once."""

import contextlib
import random
import secrets
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from rq import Queue
from rq.job import JobStatus
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer
from sqlalchemy import Engine

from api.app import create_app
from api.console.sessions import FORM_COOKIE, SESSION_COOKIE
from scripts.embedded.postgres import EmbeddedPostgres
from scripts.embedded.redis import EmbeddedRedis
from scripts.migrate import migrate
from shared.clock import utc_now
from shared.db import make_engine, transaction
from shared.ids import uuid7
from shared.line import keys
from shared.models import Notification, User
from shared.services import line_pause
from shared.settings import Settings
from tests import console_calls
from tests.conftest import connect_redis, make_settings
from tests.contract_world import LIMITS
from tests.factories import PASSWORD, auth_header, make_event, make_organization, make_user
from tests.hostile.request import HostileRequest
from tests.hostile.traces import Traces
from tests.lines import LineDriver
from worker.entries import TASK_QUEUE

ACTORS = ("anonymous", "user", "host", "admin")
_ROLES = {"user": "attendee", "other": "attendee", "host": "host", "admin": "admin"}
NOBODYS = "01900000-0000-7000-8000-000000000000"
_SETTLE = "hostile:settle"  # a bell of our own, looked at after the line's
_CLEARED = "delete from login_failures; truncate hostile_writes"


class Decider:
    """Decides what stands in the line as soon as the bell rings, beside requests that wait for it."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._driver = LineDriver(settings, engine, "hostile")
        self._bell = connect_redis(settings.redis_url)
        self._redis = connect_redis(settings.redis_url)
        self._stopping = threading.Event()
        self._settled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="decider", daemon=True)
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Listens from now on."""
        self._thread.start()

    def settle(self) -> None:
        """Returns when nothing waits any more and the thread does nothing but listen: what it writes later would be
        laid to the next request.
        """
        self._settled.clear()
        self._redis.rpush(_SETTLE, "1")
        while not self._settled.wait(1.0):
            if self.failure is not None:
                raise self.failure

    def close(self) -> None:
        """Stops listening."""
        self._stopping.set()
        self._thread.join(30)
        self._driver.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                rung = self._bell.blpop([keys.bell(0), _SETTLE], timeout=1)
                if rung is None:
                    continue
                self._driver.decide_all()
                if rung[0] == _SETTLE.encode():
                    self._settled.set()
            except (RedisConnectionError, RedisTimeoutError):
                continue
            except BaseException as error:
                self.failure = error
                return


class World:
    """Everything that a request may be about. `renew` makes all of it anew: requests change it and end it."""

    def __init__(self, app: Flask, engine: Engine, decider: Decider, traces: Traces) -> None:
        self.app, self.engine, self.decider, self.traces = app, engine, decider, traces
        self.actors: dict[str, User] = {}
        self._headers: dict[str, dict[str, str]] = {}
        self._found: dict[str, list[Any]] = {}
        self._client = app.test_client()

    def renew(self) -> None:
        """People, events in every state, bookings, an offer, an organization, notifications, a failed task."""
        self.traces.execute(_CLEARED)
        self.actors = {
            name: make_user(self.engine, role=role, password=PASSWORD) for name, role in _ROLES.items()
        }
        self._headers = {name: auth_header(self.app, user) for name, user in self.actors.items()}
        events = self._make_events()
        self._found = {"event_id": [*events, 999_999_999]}
        self._book(events[0], events[-1])
        self._found |= {
            "organization_id": self._make_organizations(),
            "user_id": [*(user.id for user in self.actors.values()), 999_999_999],
            "host_id": [
                self.actors["host"].id,
                make_user(self.engine, role="host").id,
                self.actors["user"].id,
                999_999_999,
            ],
            "notification_id": [self._tell("user", events[0]), self._tell("other", events[0]), NOBODYS],
            "task_id": [self._fail_task(), "nothing"],
            "code": ["sold_out", "nothing"],
            "queue": [keys.queue_name(0), TASK_QUEUE, "nothing"],
            "registry": [*console_calls.REGISTRIES, "nothing"],
            "job": [*self._found["job_id"], "nothing"],
        }
        self._browser = console_calls.signed_in(self.app, self.engine)
        self.traces.forget()

    def log_in(self, actor: str, *, briefly: bool = False) -> dict[str, str]:
        """The Authorization header of an actor; `briefly` that of somebody like them whom nobody needs."""
        if actor == "anonymous":
            return {}
        if briefly:
            somebody = make_user(self.engine, role=_ROLES[actor], password=PASSWORD)
            self.traces.forget()
            return auth_header(self.app, somebody)
        return self._headers[actor]

    def find(self, name: str, rng: random.Random, *, method: str) -> Any:
        """Something of that name, the caller's own more often than not; None when nothing is called so."""
        match name:
            case "password" | "current_password" | "new_password":
                return PASSWORD if rng.randrange(4) else "another-fine-password"
            case "email":
                return (
                    f"{rng.getrandbits(48):x}@example.org" if rng.randrange(2) else self.actors["user"].email
                )
            case "code" if method != "GET":
                return f"{rng.getrandbits(40):x}"
            case "refresh_token":
                return "x.y.z"
        found = self._found.get(name)
        return None if found is None else found[min(rng.randrange(len(found)), rng.randrange(len(found)))]

    def find_form(self, *, signed_in: bool, request: HostileRequest) -> dict[str, str]:
        """What a page's form carries beside what a person types; its cookie and its origin go into the headers."""
        admin = self.actors["admin"]
        browser = console_calls.signed_in(self.app, self.engine) if signed_in else self.app.test_client()
        token = console_calls.page_token(browser) if signed_in else console_calls.open_form(browser)
        self.traces.forget()
        _set_cookies(request, browser)
        for name, value in console_calls.OWN.items():
            request.set(name, value)
        return {"csrf_token": token} if signed_in else {"csrf_token": token, "email": admin.email}

    def open_console(self, request: HostileRequest) -> None:
        """The cookie of an admin who has signed in at the console, and is nobody else here."""
        _set_cookies(request, self._browser)

    def settle(self, *, paused: bool = False) -> None:
        """After a request that did something: the line is empty, and goes on where it was paused."""
        if paused:
            with transaction(self.engine) as session:
                line_pause.resume(session, actor_id=None)
        self.decider.settle()
        self.app.extensions["guichet"].snapshots.refresh_once()
        self.traces.forget()

    def _make_events(self) -> list[int]:
        host, now = self.actors["host"], utc_now()
        states: list[dict[str, Any]] = [
            {"capacity": 1_000},
            {"capacity": 50, "code": secrets.token_hex(6)},
            {"status": "draft"},
            {"status": "cancelled"},
            {"sales_open_at": now + timedelta(days=1)},
            {"sales_paused": True},
            {"deleted_at": now},
            {"capacity": 1},
        ]
        return [make_event(self.engine, host=host, **state).id for state in states]

    def _make_organizations(self) -> list[int]:
        host, user, other = (self.actors[name] for name in ("host", "user", "other"))
        owned = make_organization(
            self.engine, owners=[host, make_user(self.engine, role="host")], members=[user]
        )
        foreign = make_organization(self.engine, owners=[other])
        return [owned.id, foreign.id, 999_999_999]

    def _book(self, open_event: int, small_event: int) -> None:
        """Bookings of two people, an open offer of the first, who also waits somewhere."""
        offered = make_event(self.engine, host=self.actors["host"], capacity=1).id
        asked = [
            self._ask("user", "POST", f"/api/bookings/{open_event}/book", {"tickets": 2}),
            self._ask("other", "POST", f"/api/bookings/{open_event}/book", {"tickets": 1}),
            self._ask("other", "POST", f"/api/bookings/{small_event}/book", {"tickets": 1}),
            self._ask("other", "POST", f"/api/bookings/{offered}/book", {"tickets": 1}),
        ]
        self.decider.settle()
        for event_id in (small_event, offered):
            self._ask("user", "POST", "/api/waitlist/join", {"event_id": event_id})
        decided = [self._ask("admin", "GET", f"/api/bookings/status/{job['job_id']}") for job in asked]
        bookings = [job["booking"] for job in decided]
        self._ask("other", "DELETE", f"/api/bookings/{bookings[3]['id']}")
        self.decider.settle()
        entries = self._ask("user", "GET", "/api/waitlist")["items"]
        offers = [entry["offer"]["id"] for entry in entries if entry["offer"] is not None]
        self._found |= {
            "job_id": [*(job["job_id"] for job in asked), NOBODYS],
            "booking_id": [*(booking["id"] for booking in bookings), NOBODYS],
            "reference": [*(booking["reference"] for booking in bookings), "PS84-3KCK"],
            "offer_id": [*offers, NOBODYS],
        }

    def _ask(self, actor: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = {**self._headers[actor], "Prefer": "wait=0"}
        answer = self._client.open(path, method=method, json=body, headers=headers)
        assert answer.status_code < 300, answer.text
        return answer.json

    def _tell(self, actor: str, event_id: int) -> str:
        notification_id = uuid7()
        with transaction(self.engine) as session:
            session.add(
                Notification(
                    id=notification_id,
                    user_id=self.actors[actor].id,
                    kind="sales_open",
                    cause=str(uuid.uuid4()),
                    event_id=event_id,
                )
            )
        return str(notification_id)

    def _fail_task(self) -> str:
        with connect_redis(self.app.extensions["guichet"].settings.redis_url) as redis:
            queue = Queue(TASK_QUEUE, connection=redis, serializer=JSONSerializer)
            job = queue.enqueue("worker.tasks.prune")
            queue.remove(job)
            job.set_status(JobStatus.FAILED)
            FailedJobRegistry(queue=queue).add(job, ttl=3600)
        return str(job.id)


def _set_cookies(request: HostileRequest, browser: FlaskClient) -> None:
    names = (SESSION_COOKIE, FORM_COOKIE)
    found = {name: cookie.value for name in names if (cookie := browser.get_cookie(name)) is not None}
    request.set("Cookie", "; ".join(f"{name}={value}" for name, value in found.items()))


@contextmanager
def open_world(postgres: EmbeddedPostgres, redis_server: EmbeddedRedis, folder: Path) -> Iterator[World]:
    """A world on a database of its own with one partition, and an empty Redis; limits that nobody reaches."""
    name = f"hostile_{secrets.token_hex(6)}"
    postgres.create_database(name)
    url = postgres.database_url(name)
    migrate(url, partitions=1)
    with contextlib.ExitStack() as stack:
        stack.callback(postgres.drop_database, name)
        redis = stack.enter_context(connect_redis(redis_server.url))
        redis.flushall()
        redis.config_set("save", "")  # a snapshot would set its count of changes back
        settings = replace(
            make_settings(url, redis_server.url, folder, **LIMITS), partitions=1, job_ttl_seconds=120
        )
        app, engine = create_app(settings), make_engine(url)
        stack.callback(engine.dispose)
        stack.callback(app.extensions["guichet"].close)
        decider = Decider(settings, engine)
        stack.callback(decider.close)
        traces = Traces(url, redis)
        stack.callback(traces.close)
        app.extensions["guichet"].gate.check()
        decider.start()
        yield World(app, engine, decider, traces)
