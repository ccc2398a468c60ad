"""Whether this process may use its servers: durability, schema, installation. Closed, it accepts nothing."""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from shared.db import SCHEMA_VERSION, find_schema_version, transaction
from shared.errors import UnavailableError
from shared.line import installation as line_installation
from shared.line.installation import Installation
from shared.questions import WAIT_SECONDS, Question
from shared.services.durability import postgres_problems, redis_problems
from shared.services.production import holds_demo, role_warnings
from shared.settings import Settings
from shared.store.line_state import forget_queued, get_installation, list_revocations

log = logging.getLogger(__name__)

WATCH_SECONDS: Final = 5.0
RECHECK_SECONDS: Final = 1.0  # a closed gate is looked at again this often, however many ask


@dataclass(frozen=True, slots=True)
class GateState:
    """`problems` keep the gate closed, `warnings` do not. Parts: postgres, schema, redis, durability,
    installation, demo.
    """

    installation: Installation | None = None
    problems: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)


class LineGate:
    """Checks the servers; remembers the last verdict. An outage after the gate has opened does not close it:
    calls then fail by themselves, declared, and events are served from their last snapshot.
    """

    def __init__(
        self, settings: Settings, engine: Engine, redis: "Redis", *, claims_empty_redis: bool = True
    ) -> None:
        self._settings, self._engine, self._redis = settings, engine, redis
        self._claims_empty_redis = (
            claims_empty_redis  # not for somebody who only looks, perhaps at a wrong one
        )
        self._state = GateState(problems={"start": "The servers have not been checked yet."})
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._checked_at = float("-inf")
        self._has_told_role = False
        self._of_postgres = Question("line-gate-postgres", self._ask_postgres)

    @property
    def state(self) -> GateState:
        """The last verdict."""
        return self._state

    def installation(self) -> Installation:
        """The installation, once the gate is open; checks the servers when it is not.

        Raises UnavailableError `line_unavailable` naming the problems.
        """
        if self._state.problems:
            with self._lock:  # the first request looks, the others wait for what it sees
                if self._state.problems and time.monotonic() - self._checked_at > RECHECK_SECONDS:
                    self.check()
        state = self._state
        if state.problems or state.installation is None:
            raise UnavailableError(
                "line_unavailable",
                "; ".join(state.problems.values()),
                retry_after_seconds=2,
                parts=[*state.problems],
            )
        return state.installation

    def watch(self) -> None:
        """Looks again every few seconds, in a thread of its own: a server may come back with other settings."""
        threading.Thread(target=self._watch_forever, name="line-gate", daemon=True).start()

    def close(self) -> None:
        """Ends the watch."""
        self._closed.set()

    def _watch_forever(self) -> None:
        while not self._closed.wait(WATCH_SECONDS):
            try:
                self.check()
            except Exception:
                log.exception("the line gate could not look")

    def check(self) -> GateState:
        """Looks at both servers: a handful of round trips, outside requests but for the first."""
        problems: dict[str, str] = {}
        warnings: dict[str, str] = {}
        installation = self._check_postgres(problems, warnings)
        self._check_redis(problems, warnings, installation)
        if problems != self._state.problems or warnings != self._state.warnings:
            level = logging.WARNING if problems or warnings else logging.INFO
            log.log(level, "line gate", extra={"problems": problems, "warnings": warnings})
        self._checked_at = time.monotonic()
        outage_only = bool(problems) and set(problems) <= {"postgres", "redis"} and not self._state.problems
        if outage_only:
            return GateState(self._state.installation, problems, warnings)
        self._state = GateState(installation, problems, warnings)
        return self._state

    def _check_postgres(self, problems: dict[str, str], warnings: dict[str, str]) -> Installation | None:
        answer = self._of_postgres.get()
        if answer is None:
            problems["postgres"] = f"PostgreSQL has not answered for {WAIT_SECONDS:.0f} seconds"
            return self._state.installation
        problems.update(answer.problems)
        warnings.update(answer.warnings)
        return self._state.installation if "postgres" in problems else answer.installation

    def _ask_postgres(self) -> GateState:
        """What PostgreSQL says, or that it cannot be reached."""
        problems: dict[str, str] = {}
        warnings: dict[str, str] = {}
        try:
            with transaction(self._engine) as session:
                found = find_schema_version(session)
                if found is None or found < SCHEMA_VERSION:
                    problems["schema"] = f"The database is at schema {found}; run `guichet migrate`"
                    return GateState(None, problems, warnings)
                self._durability(postgres_problems(session), problems, warnings)
                installation = get_installation(session)
                if self._settings.is_production:
                    self._check_production(session, problems)
        except SQLAlchemyError as error:
            problems["postgres"] = f"PostgreSQL cannot be reached: {type(error).__name__}"
            return GateState(None, problems, warnings)
        if installation.partitions != self._settings.partitions:
            problems["installation"] = (
                f"This installation has {installation.partitions} partitions, the settings say"
                f" {self._settings.partitions}; the number is fixed at the first migration"
            )
        return GateState(installation, problems, warnings)

    def _check_production(self, session: Session, problems: dict[str, str]) -> None:
        """Refuses the demo's database. A role that may do too much is told once a process: nobody outside needs to
        know, `/api/admin/health` says it to admins.
        """
        if holds_demo(session):
            problems["demo"] = "This database holds the demo, whose passwords are public; use a fresh one"
        if not self._has_told_role:
            self._has_told_role = True
            for warning in role_warnings(session).values():
                log.warning("database role", extra={"warning": warning})

    def _check_redis(
        self, problems: dict[str, str], warnings: dict[str, str], installation: Installation | None
    ) -> None:
        try:
            self._durability(redis_problems(self._redis), problems, warnings)
            if installation is not None and not problems:
                self.claim_redis(installation, problems)
        except (RedisError, OSError) as error:
            problems["redis"] = f"Redis cannot be reached: {type(error).__name__}"
        except SQLAlchemyError as error:
            problems["postgres"] = f"PostgreSQL cannot be reached: {type(error).__name__}"

    def claim_redis(self, installation: Installation, problems: dict[str, str]) -> None:
        """Makes an empty Redis this installation's; notes a problem when it is another's."""
        revoked: Mapping[str, datetime] = {}
        if line_installation.is_empty(self._redis):
            if not self._claims_empty_redis:
                problems["installation"] = (
                    "This Redis is empty: is REDIS_URL right, and has anything started here?"
                )
                return
            with transaction(self._engine) as session:
                revoked = list_revocations(session)
                forget_queued(session)
        if not line_installation.initialise(self._redis, installation, revoked):
            problems["installation"] = (
                "This Redis belongs to another installation; use another database number"
            )

    def _durability(self, found: list[str], problems: dict[str, str], warnings: dict[str, str]) -> None:
        if not found:
            return
        target = warnings if self._settings.durability == "relaxed" else problems
        target["durability"] = "; ".join(filter(None, [target.get("durability"), *found]))
