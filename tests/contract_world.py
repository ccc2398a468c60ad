"""A small world for generated calls: people of each role, events in each state, bookings and jobs that exist."""

import itertools
import secrets
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from rq import Queue
from rq.job import JobStatus
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer
from sqlalchemy import Engine

from api.app import create_app
from scripts.embedded.postgres import EmbeddedPostgres
from scripts.embedded.redis import EmbeddedRedis
from shared.clock import utc_now
from shared.db import make_engine, transaction
from shared.ids import uuid7
from shared.models import Notification, User
from shared.services import line_pause
from tests.conftest import _TEMPLATE, connect_redis, make_settings
from tests.factories import PASSWORD, auth_header, make_event, make_organization, make_user
from tests.lines import await_that, worker_process
from worker.entries import TASK_QUEUE

# Who may be calling; None is nobody.
ACTORS: dict[str, str | None] = {"anonymous": None, "user": "attendee", "host": "host", "admin": "admin"}
# These may end or change an account: somebody who is not needed any more calls, and it is about nobody else.
ENDING = {
    "accounts_close_own_account",
    "accounts_change_password",
    "accounts_log_out",
    "users_close_account",
    "users_update_user",
}
# These are about an event that has no tickets left.
WAITING = {"waitlist_join_waitlist", "waitlist_leave_waitlist"}
# These take tickets, or change an event: each time another event, most of the time.
CHANGING = {"POST", "PUT", "PATCH", "DELETE"}
LIMITS = {
    "booking_rate_per_second": 1e6,
    "booking_rate_burst": 10**6,
    "user_undecided_max": 10**6,
    "general_rate_per_minute": 10**9,
    "login_rate_per_minute": 10**9,
    "poll_rate_per_second": 10**9,
    "export_rate_per_hour": 10**9,
    "login_failures_max": 10**6,
    "access_log": False,
}


@dataclass(frozen=True, slots=True)
class Booked:
    """A booking that somebody has."""

    event_id: int
    job_id: str
    booking_id: str
    reference: str


@dataclass
class World:
    """What generated calls may name so that they meet something. Everything is used in turn, nothing at random."""

    app: Flask
    engine: Engine
    callers: dict[str, User] = field(default_factory=dict)
    _turns: Iterator[int] = field(default_factory=itertools.count)
    _events: list[int] = field(default_factory=list)

    def fill(self) -> None:
        """The callers, and an event in every state."""
        for name, role in ACTORS.items():
            if role is not None:
                self.callers[name] = self._person(role)
        host, now = self.callers["host"], utc_now()
        states: list[dict[str, Any]] = [
            {"capacity": 100_000},
            {"status": "draft"},
            {"status": "cancelled"},
            {"sales_open_at": now + timedelta(days=1)},
            {"sales_paused": True},
            {"capacity": 1},
        ]
        self._events = [make_event(self.engine, host=host, **state).id for state in states]

    def choose_caller(self, actor: str, operation_id: str) -> User | None:
        """Who calls; None is nobody."""
        role = ACTORS[actor]
        if role is None:
            return None
        return self._person(role) if operation_id in ENDING else self.callers[actor]

    def log_in(self, caller: User | None) -> dict[str, str]:
        """The header of a fresh log-in."""
        return {} if caller is None else auth_header(self.app, caller)

    def tidy_up(self, operation_id: str) -> None:
        """After a call: a paused line goes on, so that later calls are decided."""
        if "pause" in operation_id:
            with transaction(self.engine) as session:
                line_pause.resume(session, actor_id=None)

    def find_value(self, name: str, *, caller: User | None, operation_id: str, method: str) -> Any:
        """Something of that name that exists and that the caller may see; None when nothing is called so."""
        turn = next(self._turns)
        caller = caller or self.callers["user"]
        match name:
            case "event_id" if operation_id == "bookings_cancel_registration":
                return self._book(caller).event_id
            case "event_id" if operation_id in WAITING:
                return self._sold_out(waiting=caller if operation_id == "waitlist_leave_waitlist" else None)
            case "offer_id":
                return self._offer(caller)
            case "event_id" if operation_id == "interests_add":
                opens = utc_now() + timedelta(days=1)
                return make_event(self.engine, host=self.callers["host"], sales_open_at=opens).id
            case "host_id":
                return self._person("host").id
            case "event_id" if method in CHANGING and turn % 3:
                return make_event(self.engine, host=self.callers["host"]).id
            case "event_id":
                return self._events[turn % len(self._events)]
            case "organization_id" if operation_id == "organization_members_leave":
                return self._organization(members=[caller])
            case "organization_id":
                return self._organization(owners=[caller])
            case "user_id" if "organization_members" in operation_id:
                return caller.id if turn % 2 else self._person("attendee").id
            case "user_id":
                return caller.id if turn % 2 else self._person("attendee").id
            case "job_id" | "booking_id" | "reference":
                return getattr(
                    self._book(caller if caller.role == "attendee" else self._person("attendee")), name
                )
            case "notification_id":
                return str(self._tell(caller))
            case "task_id":
                return self._failed_task()
            case "password" | "current_password":
                return PASSWORD
            case "email":
                return f"{secrets.token_hex(6)}@example.org" if turn % 2 else self._person("attendee").email
            case "refresh_token":
                return self._refresh_token()
            case "code":  # of a problem in a path, of an event in a body
                return "sold_out" if method == "GET" else secrets.token_hex(6)
        return None

    def _tell(self, user: User) -> uuid.UUID:
        """A notification of the user's."""
        notification_id = uuid7()
        event_id = make_event(self.engine).id
        with transaction(self.engine) as session:
            notification = Notification(
                id=notification_id,
                user_id=user.id,
                kind="sales_open",
                cause=str(notification_id),
                event_id=event_id,
            )
            session.add(notification)
        return notification_id

    def _organization(self, *, owners: Sequence[User] = (), members: Sequence[User] = ()) -> int:
        """An organization with an owner besides who is given, so that everybody may leave."""
        return make_organization(self.engine, owners=[*owners, self._person("host")], members=members).id

    def _person(self, role: str) -> User:
        return make_user(self.engine, role=role, password=PASSWORD)

    def _refresh_token(self) -> str:
        body = {"email": self._person("attendee").email, "password": PASSWORD}
        return str(self.app.test_client().post("/api/auth/login", json=body).json["refresh_token"])

    def _failed_task(self) -> str:
        """A task as RQ leaves it that has failed; nobody works on that queue here."""
        with connect_redis(self.app.extensions["guichet"].settings.redis_url) as redis:
            queue = Queue(TASK_QUEUE, connection=redis, serializer=JSONSerializer)
            job = queue.enqueue("worker.tasks.prune")
            queue.remove(job)
            job.set_status(JobStatus.FAILED)
            FailedJobRegistry(queue=queue).add(job, ttl=3600)
        return str(job.id)

    def _book(self, owner: User, capacity: int = 100) -> Booked:
        """A booking of the owner's, for an event of the host who calls."""
        event_id = make_event(self.engine, host=self.callers["host"], capacity=capacity).id
        answer = self._ask(201, "POST", f"/api/bookings/{event_id}/book", owner, {"tickets": 1})
        booking = answer["booking"]
        return Booked(event_id, answer["job_id"], booking["id"], booking["reference"])

    def _sold_out(self, *, waiting: User | None) -> int:
        """An event whose only ticket somebody has, and for which somebody waits."""
        event_id = self._book(self._person("attendee"), capacity=1).event_id
        if waiting is not None:
            self._ask(200, "POST", "/api/waitlist/join", waiting, {"event_id": event_id})
        return event_id

    def _offer(self, owner: User) -> str:
        """An open offer of the owner's."""
        holder = self._person("attendee")
        booked = self._book(holder, capacity=1)
        self._ask(200, "POST", "/api/waitlist/join", owner, {"event_id": booked.event_id})
        self._ask(200, "DELETE", f"/api/bookings/{booked.booking_id}", holder)
        (entry,) = self._ask(200, "GET", "/api/waitlist?limit=1", owner)["items"]
        return str(entry["offer"]["id"])

    def _ask(self, status: int, method: str, path: str, who: User, body: dict[str, Any] | None = None) -> Any:
        """The answer, after the decision. A busy machine may answer 503 (nothing happened): asked again, with one key."""
        key = secrets.token_hex(16)
        headers = {**auth_header(self.app, who), "Prefer": "wait=30", "Idempotency-Key": key}
        for _ in range(10):
            answer = self.app.test_client().open(path, method=method, json=body, headers=headers)
            if answer.status_code != 503:
                break
        assert answer.status_code == status, answer.json
        return answer.json


@contextmanager
def open_world(postgres: EmbeddedPostgres, redis_server: EmbeddedRedis, folder: Path) -> Iterator[World]:
    """A world on a database of its own, an empty Redis and a worker process; limits high enough for every call."""
    name = f"world_{secrets.token_hex(6)}"
    postgres.create_database(name, template=_TEMPLATE)
    with connect_redis(redis_server.url) as client:
        client.flushall()
    settings = make_settings(postgres.database_url(name), redis_server.url, folder, **LIMITS)
    app = create_app(settings)
    engine = make_engine(settings.database_url)
    try:
        with worker_process(settings):
            client = app.test_client()
            await_that(lambda: client.get("/readyz").status_code == 200, what="a worker that is ready")
            world = World(app, engine)
            world.fill()
            yield world
    finally:
        engine.dispose()
        app.extensions["guichet"].close()
        postgres.drop_database(name)
