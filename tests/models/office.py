"""The real thing as clients and operators see it: the application, the worker, the schedule, one step at a time."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, text
from werkzeug.test import TestResponse

from scripts.audit import run_audit
from shared.line import keys
from shared.line.client import AnswerUnknownError
from shared.models import User
from shared.settings import Settings
from tests.factories import auth_header, make_event, make_user, make_users
from tests.lines import LineDriver, await_that

AT_ONCE = {"Prefer": "wait=0"}
_REQUEST_ROWS = (
    "select d.event_id, d.job_id, d.kind, d.outcome, d.reason, d.user_id, d.tickets, d.decided_at, d.arrival,"
    " d.facts, w.job_id as made_by from decisions d"
    " left join waitlist_entries w on w.id::text = d.facts ->> 'entry_id' and d.kind = 'offer'"
    " where d.event_id = :event and d.number > :after"
    " and d.kind not in ('event_set', 'call_off_slice', 'drain') order by d.number"
)


class WorkerDiedError(BaseException):
    """The worker's process is no more: nothing of its code runs after this."""


class MortalCursor:
    """A cursor that counts its statements."""

    def __init__(self, cursor: Any, count: Callable[[Callable[[], Any]], Any]) -> None:
        self._cursor, self._count = cursor, count

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def execute(self, *arguments: Any) -> Any:
        return self._count(lambda: self._cursor.execute(*arguments))


@dataclass
class Countdown:
    """Ends the worker at a call, before it is sent or when it has been answered."""

    left: int
    after: bool

    def around(self, call: Callable[[], Any]) -> Any:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise WorkerDiedError
        result = call()
        if self.left == 0:
            raise WorkerDiedError
        return result


class Office:
    """API, worker and schedule on a database and a Redis that outlive them."""

    def __init__(self, settings: Settings, engine: Engine, make_app: Callable[[Settings], Flask]) -> None:
        self.settings, self.engine, self._make_app = settings, engine, make_app
        self.users: list[User] = make_users(engine, 5)
        self.host, self.admin = make_user(engine, role="host"), make_user(engine, role="admin")
        self.lifetime = timedelta(hours=1)
        self.events: list[int] = []
        self.driver: LineDriver | None = None
        self.app: Flask
        self.client: FlaskClient
        self.open_api()

    # processes

    def open_api(self) -> None:
        """A new API process."""
        self.app = self._make_app(self.settings)
        self.client = self.app.test_client()
        self.headers = {user.id: auth_header(self.app, user) for user in [*self.users, self.host, self.admin]}
        container = self.app.extensions["guichet"]
        container.gate.check()
        container.snapshots._wanted.update(self.events)

    def open_worker(self, batch_max: int) -> None:
        """A new worker process."""
        self.close_worker()
        self.driver = LineDriver(replace(self.settings, batch_max=batch_max), self.engine)
        self.set_lifetime(self.lifetime)

    def close_worker(self) -> None:
        if self.driver is not None:
            self.driver.close()
            self.driver = None

    def set_lifetime(self, lifetime: timedelta) -> None:
        """How long offers last from now on."""
        assert self.driver is not None
        self.lifetime = lifetime
        self.driver.batches._terms = replace(self.driver.batches._terms, offer_lifetime=lifetime)

    def claim(self) -> LineDriver:
        """The worker, once it holds what it needs: who died a moment ago may still hold it."""
        driver = self.driver
        assert driver is not None
        wanted = {event % self.settings.partitions for event in self.events}
        await_that(lambda: driver.claim() is not None and wanted <= set(driver.session.held), what="a claim")
        return driver

    def decide_all(self) -> None:
        self.claim().decide_all()

    def decide_a_batch(self) -> None:
        driver = self.claim()
        for partition in sorted({event % self.settings.partitions for event in self.events}):
            driver._decide_again(partition)

    def die_deciding(self, *, at: int, after: bool, batch_max: int) -> bool:
        """Decides until its `at`-th call ends the worker, or all is decided; another takes its place. Whether it died."""
        driver = self.claim()
        countdown = Countdown(at, after)
        cursor, run = driver.session.cursor, driver.runner.run
        driver.session.cursor = MortalCursor(cursor, countdown.around)  # type: ignore[assignment]
        driver.runner.run = lambda *call: countdown.around(lambda: run(*call))  # type: ignore[method-assign]
        try:
            driver.decide_all()
        except WorkerDiedError:
            return True
        finally:
            self.open_worker(batch_max)
        return False

    # people

    def open_event(self, **fields: Any) -> Any:
        """An event on sale, which the API knows."""
        event = make_event(self.engine, host=self.host, **fields)
        self.events.append(event.id)
        self.app.extensions["guichet"].snapshots._wanted.add(event.id)
        return event

    def call(self, method: str, url: str, user: int, *, key: str = "", **body: Any) -> TestResponse:
        """One HTTP request, by somebody who would rather not wait, at a door that has just looked."""
        self.app.extensions["guichet"].snapshots.refresh_once()
        headers = {**self.headers[user], **AT_ONCE} | ({"Idempotency-Key": key} if key else {})
        return self.client.open(f"/api{url}", method=method, headers=headers, json=body)

    def lose_answers(self, count: int, *, executed: bool) -> Callable[[], None]:
        """Redis' next answers to the API get lost, or what it sends does; gives what ends that."""
        runner = self.app.extensions["guichet"].line.runner
        execute, left = runner._execute, [count]

        def lossy(*command: Any) -> Any:
            if left[0] == 0:
                return execute(*command)
            if executed:
                execute(*command)  # that the script is not known yet is an answer that arrives
            left[0] -= 1
            raise AnswerUnknownError

        runner._execute = lossy
        return lambda: setattr(runner, "_execute", execute)

    # what there is

    def query(self, statement: str, **values: Any) -> Sequence[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(statement), values))

    def rows_after(self, event_id: int, number: int) -> tuple[int, Sequence[Any]]:
        """The last number of the event's ledger, and its rows after `number` that are decisions or offers."""
        rows = self.query(_REQUEST_ROWS, event=event_id, after=number)
        ((last,),) = self.query("select last_number from events where id = :event", event=event_id)
        return last, rows

    def now(self) -> datetime:
        ((now,),) = self.query("select clock_timestamp()")
        return now

    def offer_of(self, made_by: uuid.UUID) -> uuid.UUID | None:
        rows = self.query(
            "select o.id from offers o join waitlist_entries w on w.id = o.entry_id where w.job_id = :job",
            job=made_by,
        )
        return rows[0].id if rows else None

    def in_line(self) -> list[str]:
        """Ids that wait or are in flight, partition by partition."""
        redis = self.app.extensions["guichet"].line.runner.redis
        found: list[bytes] = []
        for partition in range(self.settings.partitions):
            found += redis.lrange(keys.in_flight(partition), 0, -1)
            found += redis.lrange(keys.queue(partition), 0, -1)
        return [raw.decode() for raw in found]

    def in_flight(self) -> set[str]:
        redis = self.app.extensions["guichet"].line.runner.redis
        return {
            raw.decode()
            for partition in range(self.settings.partitions)
            for raw in redis.lrange(keys.in_flight(partition), 0, -1)
        }

    def count_undecided(self, user: int) -> int:
        redis = self.app.extensions["guichet"].line.runner.redis
        return int(redis.zcount(keys.undecided_by_user(user), user, user))

    def begin_anew(self) -> None:
        """Nothing of an example that ended in the middle concerns the next one."""
        self.close_worker()
        with self.engine.begin() as connection:
            connection.execute(
                text("update line_state set paused = false, paused_at = null, resume_at = null")
            )
            connection.execute(text("update control_requests set decided_at = coalesce(decided_at, now())"))
        self.app.extensions["guichet"].line.runner.redis.flushdb()
        self.app.extensions["guichet"].snapshots._entries.clear()
        self.events.clear()
        self.lifetime = timedelta(hours=1)
        self.app.extensions["guichet"].gate.check()

    def assert_audit_clean(self) -> None:
        for event_id in self.events:
            tally = run_audit(self.settings, event_id=event_id)
            assert tally.ok, tally.findings[:5]
