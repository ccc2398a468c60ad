"""Servers of the bench's own, and installations on them: each measurement gets a fresh one."""

import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from redis import Redis
from sqlalchemy import Engine, text

from scripts.audit import run_audit
from scripts.benches.figures import Measurement
from scripts.benches.fill import fill
from scripts.benches.lists_fill import Filled
from scripts.benches.lists_fill import fill as fill_lists
from scripts.benches.processes import Process, environment_of
from scripts.benches.sizes import Sizes
from scripts.benches.web import Web, find_free_port, has_answered
from scripts.embedded.postgres import EmbeddedPostgres
from scripts.embedded.redis import EmbeddedRedis
from scripts.migrate import migrate
from shared.db import make_engine, transaction
from shared.domain.permissions import Actor
from shared.line import keys
from shared.line.client import ScriptRunner, make_redis, text_of
from shared.line.inspect import count_undecided
from shared.services.audit.findings import finding_document
from shared.services.events import create_event
from shared.services.load_users import ensure_load_users, mint_load_tokens
from shared.services.users import create_user
from shared.settings import Settings
from shared.store.clock import read_clock

_TEMPLATE: Final = "guichet_template"
_TOKEN_SECONDS: Final = 6 * 3600
_DECIDE_SECONDS: Final = 900.0  # a machine on which a measurement takes longer is not worth waiting for
_LOOK_SECONDS: Final = 0.2
_SHOWN_FINDINGS: Final = 5
_REWRITING: Final = ("in_progress", "scheduled")


class Laboratory:
    """A PostgreSQL and a Redis in a temporary folder, with full durability, from their first use until the block
    ends.
    """

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self._stack = ExitStack()
        self._installations = 0

    def __enter__(self) -> "Laboratory":
        self.folder = Path(tempfile.mkdtemp(prefix="guichet-bench-"))
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    @cached_property
    def postgres(self) -> EmbeddedPostgres:
        """The server of every installation's database, with a migrated one to copy."""
        server = EmbeddedPostgres(self.folder / "postgres")
        self._stack.callback(server.stop, "immediate")
        server.start()
        server.create_database(_TEMPLATE)
        migrate(server.database_url(_TEMPLATE), partitions=Settings().partitions)
        return server

    @cached_property
    def redis(self) -> EmbeddedRedis:
        """The server of every installation that wants none of its own."""
        return self._stack.enter_context(self._redis_server("redis"))

    @contextmanager
    def _redis_server(self, name: str) -> Iterator[EmbeddedRedis]:
        server = EmbeddedRedis(self.folder / name)
        try:
            server.start()
            yield server
        finally:
            server.kill()

    @contextmanager
    def installation(
        self,
        measurement: Measurement,
        *,
        own_redis: bool = False,
        is_decided: bool = True,
        **changes: Any,  # noqa: ANN401 - any setting
    ) -> Iterator["Installation"]:
        """A fresh installation; settings may be changed. At the end what still waits is decided, unless `is_decided`
        says that nothing is, and everything audited.
        """
        self._installations += 1
        name = f"bench_{self._installations}"
        with ExitStack() as stack:
            redis = stack.enter_context(self._redis_server(name)) if own_redis else self.redis
            with closing(Redis.from_url(redis.url)) as client:
                client.flushall()
                client.config_resetstat()
            self.postgres.create_database(name, template=_TEMPLATE)
            stack.callback(self.postgres.drop_database, name)
            settings = replace(self._settings(self.postgres.database_url(name), redis.url), **changes)
            found = Installation(self, settings, redis)
            stack.callback(found.close)
            yield found
            if is_decided:
                found.decide_rest()
            found.audit(measurement)

    @contextmanager
    def filled(self, events: int, **changes: Any) -> Iterator[tuple["Installation", Filled]]:  # noqa: ANN401 - any setting
        """An installation with so many events in it, and a Redis of its own; settings may be changed. It has no
        ledgers, so nothing audits it.
        """
        name = f"filled_{events}"
        with ExitStack() as stack:
            redis = stack.enter_context(self._redis_server(name))
            self.postgres.create_database(name, template=_TEMPLATE)
            stack.callback(self.postgres.drop_database, name)
            ids = fill_lists(self.postgres.database_url(name), events=events)
            settings = replace(self._settings(self.postgres.database_url(name), redis.url), **changes)
            found = Installation(self, settings, redis)
            stack.callback(found.close)
            yield found, ids

    def _settings(self, database_url: str, redis_url: str) -> Settings:
        """Everything as an installation has it, but limits raised and the sold-out door open, so that everyone
        stands in line.
        """
        return Settings(
            data_dir=self.folder,
            database_url=database_url,
            redis_url=redis_url,
            secret_key=secrets.token_urlsafe(48),
            log_level="WARNING",
            event_undecided_max=10_000_000,
            partition_undecided_max=10_000_000,
            user_undecided_max=1_000_000,
            booking_rate_per_second=1e6,
            booking_rate_burst=1_000_000,
            general_rate_per_minute=1_000_000_000,
            poll_rate_per_second=1_000_000,
            sold_out_door=False,
        )


class Installation:
    """A database and a Redis with one host, any number of load users and events, and its processes.

    `has_made_up_past`: its database was filled with ledgers whose hashes are no chain, so that only the events that
    were made here can be audited.
    """

    def __init__(self, laboratory: Laboratory, settings: Settings, redis: EmbeddedRedis) -> None:
        self.laboratory, self.settings, self.redis_server = laboratory, settings, redis
        self.engine: Engine = make_engine(settings.database_url, pool_size=2)
        self.redis = make_redis(settings.redis_url, max_connections=2)
        self.event_ids: list[int] = []
        self.has_made_up_past = False
        with transaction(self.engine) as session:
            self._host = create_user(
                session, name="Host", email="host@example.org", password_hash=None, role="host"
            ).id

    def close(self) -> None:
        """Closes the bench's own connections."""
        self.redis.close()
        self.engine.dispose()

    def make_event(self, capacity: int) -> int:
        """A free event on sale, in 30 days."""
        with transaction(self.engine) as session:
            starts_at = read_clock(session) + timedelta(days=30)
            values = {"title": "Bench", "starts_at": starts_at, "capacity": capacity, "status": "scheduled"}
            event_id = create_event(session, actor=Actor(self._host, "host"), values=values, request_id=None)
        self.event_ids.append(event_id)
        return event_id

    def make_users(self, count: int) -> list[int]:
        """Ids of `count` load users."""
        with transaction(self.engine) as session:
            return ensure_load_users(session, count)

    def make_tokens(self, count: int) -> list[str]:
        """An access token of each of `count` load users."""
        with transaction(self.engine) as session:
            user_ids, now = ensure_load_users(session, count), read_clock(session)
        minted = mint_load_tokens(self.settings, user_ids, now=now, lifetime_seconds=_TOKEN_SECONDS)
        return [token for _, token in minted]

    def fill(self, event_id: int, user_ids: list[int]) -> None:
        """Puts one booking a user into the line."""
        fill(self.settings, event_id, user_ids)

    def list_jobs(self, user_ids: list[int]) -> list[str]:
        """The job id of each user's one undecided request."""
        with self.redis.pipeline(transaction=False) as pipe:
            for user_id in user_ids:
                pipe.zrangebyscore(keys.undecided_by_user(user_id), user_id, user_id)
            return [text_of(job) for (job,) in pipe.execute()]

    @contextmanager
    def worker(self, **changes: Any) -> Iterator[Process]:  # noqa: ANN401 - any setting
        """One booking worker; settings may be changed for it."""
        environ = self._environ(**changes)
        with Process(["-m", "worker", "bookings"], environ, self._log("worker")) as process:
            yield process

    @contextmanager
    def web(self, application: str = "api.wsgi:app", **changes: Any) -> Iterator[Web]:  # noqa: ANN401 - any setting
        """Gunicorn with two gevent processes, as in the Procfile; answers when the block begins. Settings may be
        changed for it.
        """
        port = find_free_port()
        arguments = ["-m", "gunicorn", "--config", "api/gunicorn_conf.py", application]
        environ = self._environ(**changes) | {"PORT": str(port)}
        with Process(arguments, environ, self._log("web")) as process:
            process.wait_until(lambda: has_answered(port), what=application)
            yield Web(process, port)

    def count_decided(self, event_id: int) -> int:
        """Arrivals of the event that are decided and committed."""
        with transaction(self.engine) as session:
            query = text("select last_arrival from events where id = :event_id")
            return int(session.execute(query, {"event_id": event_id}).scalar_one())

    def wait_decided(self, process: Process, event_id: int, count: int) -> None:
        """Returns once `count` arrivals of the event are decided."""
        process.wait_until(
            lambda: self.count_decided(event_id) >= count,
            what=f"{count:,} decisions",
            seconds=_DECIDE_SECONDS,
        )

    def count_waiting(self) -> int:
        """Requests in the line, whatever the event."""
        return sum(count_undecided(ScriptRunner(self.redis), range(self.settings.partitions)).values())

    def wait_rewritten(self) -> None:
        """Returns once Redis rewrites its append-only file no longer, which filling a line makes it begin: a process
        that writes down everything, and pages that are copied before they change.
        """
        while any(self.redis.info("persistence")[f"aof_rewrite_{state}"] for state in _REWRITING):
            time.sleep(_LOOK_SECONDS)

    def wait_for_buckets(self) -> None:
        """Returns once Redis has forgotten every user's token bucket."""
        while next(self.redis.scan_iter(match=keys.rate_of_user("*"), count=1000), None) is not None:
            time.sleep(_LOOK_SECONDS)

    def decide_rest(self) -> None:
        """Lets a worker decide what still waits, so that the audit sees every accepted request decided."""
        if self.count_waiting():
            with self.worker() as worker:
                worker.wait_until(
                    lambda: not self.count_waiting(), what="an empty line", seconds=_DECIDE_SECONDS
                )

    def audit(self, measurement: Measurement) -> None:
        """Checks every promise on this installation and notes what is wrong."""
        for event_id in self.event_ids if self.has_made_up_past else [None]:
            self._audit(measurement, event_id)

    def _audit(self, measurement: Measurement, event_id: int | None) -> None:
        tally = run_audit(self.settings, event_id=event_id)
        measurement.audited_rows += tally.examined["rules"]
        measurement.violations += [str(finding_document(found)) for found in tally.findings[:_SHOWN_FINDINGS]]
        hidden = sum(tally.failed.values()) - _SHOWN_FINDINGS
        if hidden > 0:
            measurement.violations.append(f"… and {hidden:,} more")

    def _environ(self, **changes: Any) -> dict[str, str]:  # noqa: ANN401 - any setting
        return environment_of(replace(self.settings, **changes))

    def _log(self, name: str) -> Path:
        return self.laboratory.folder / f"{name}.log"
