"""The line as the API uses it: accepting, asking, leaving, revoking. Heals a Redis that has lost its data."""

import logging
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from shared.errors import UnavailableError
from shared.line import accept, control, status
from shared.line.accept import Answer, NewRequest, Refused
from shared.line.client import LineUnavailableError, ScriptRunner
from shared.line.doors import OPEN_DOOR, Door
from shared.line.installation import put_revocations
from shared.line.status import LineJob, Question, Subjects
from shared.services.line_gate import LineGate
from shared.settings import Settings

log = logging.getLogger(__name__)


class LineClient:
    """One process's way into the line. `runner` runs its scripts, one by one unless it is of another mind."""

    def __init__(
        self, settings: Settings, redis: "Redis", gate: LineGate, *, runner: ScriptRunner | None = None
    ) -> None:
        self._settings, self._gate = settings, gate
        self.runner = runner or ScriptRunner(redis)

    def accept(self, request: NewRequest, door: Door = OPEN_DOOR) -> Answer:
        """Takes a request into the line, or says why not. One round trip; never touches PostgreSQL but when
        Redis turns out to be empty. Raises UnavailableError `line_unavailable` or `accept_unknown`.
        """
        answer = accept.send(self.runner, self._settings, self._gate.installation(), request, door)
        if answer is None:
            self._heal()
            answer = accept.send(self.runner, self._settings, self._gate.installation(), request, door)
        if answer is None:
            raise LineUnavailableError("Redis lost its data again.")
        at_the_limit = isinstance(answer, Refused) and answer.code == "too_many_undecided"
        # A lost job must not count against its user for ever: whoever is at the limit is looked at afresh.
        if (
            at_the_limit
            and request.user_id is not None
            and status.forget_ghosts(self.runner, request.user_id)
        ):
            return self.accept(request, door)
        return answer

    def find_job(self, job_id: uuid.UUID, subjects: tuple[str, str] | None = None) -> LineJob | str:
        """The job in the line, or `absent` or `revoked`. One round trip. Raises UnavailableError."""
        return self.find_jobs([(job_id, subjects)])[0]

    def find_jobs(self, asked: Sequence[Question]) -> list[LineJob | str]:
        """The same for many, in one round trip."""
        found = status.find_jobs(self.runner, self._gate.installation(), asked)
        if isinstance(found, str):
            self._heal()
            found = status.find_jobs(self.runner, self._gate.installation(), asked)
        if isinstance(found, str):
            raise LineUnavailableError("Redis lost its data again.")
        return found

    def find_revoked(self, asked: Sequence[Subjects]) -> list[int]:
        """Whose tokens are revoked, as places in `asked`. One round trip. Raises UnavailableError, also when Redis has
        lost its data: `find_jobs` heals it.
        """
        found = status.find_revoked(self.runner, self._gate.installation(), asked)
        if isinstance(found, str):
            raise LineUnavailableError("Redis lost its data.")
        return found

    def withdraw(self, job_id: uuid.UUID) -> str:
        """Puts the withdraw mark on a waiting job: `marked`, `too_late` or `absent`. One round trip."""
        return control.mark_withdrawn(self.runner, job_id)

    def withdraw_all(self, user_id: int) -> None:
        """Puts the mark on all of a user's waiting requests; best effort, the worker refuses the rest."""
        try:
            for job_id in status.list_undecided_of_user(self.runner, user_id):
                control.mark_withdrawn(self.runner, job_id)
        except UnavailableError:
            log.warning("could not withdraw requests", extra={"user_id": user_id})

    def list_undecided(self, user_id: int) -> list[uuid.UUID]:
        """Ids of a user's undecided jobs, newest first."""
        return status.list_undecided_of_user(self.runner, user_id)

    def revoke(self, subjects: Mapping[str, datetime]) -> None:
        """Tells the line at once which subjects' tokens no longer count, each until the instant given.

        Best effort: PostgreSQL has them already, and a schedule feeds them again.
        """
        try:
            put_revocations(self.runner.redis, subjects)
        except (RedisError, OSError):
            log.warning("could not tell Redis of a revocation; the schedule will")

    def _heal(self) -> None:
        problems: dict[str, str] = {}
        try:
            self._gate.claim_redis(self._gate.installation(), problems)
        except (SQLAlchemyError, RedisError, OSError) as error:
            raise LineUnavailableError(
                "Redis was empty and cannot be told yet whose tokens are revoked."
            ) from error
        if problems:
            raise LineUnavailableError("; ".join(problems.values()))
        log.error("Redis was empty and has been made this installation's again")
