"""Following a request: in the line while Redis knows it, in the ledger for ever."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from shared.clock import rfc3339
from shared.db import single_statement, transaction
from shared.domain.requests import (
    DECLINE_OFFER,
    END_WAITLIST,
    EXPIRE_OFFER,
    KINDS,
    LEAVE_WAITLIST,
    SERVE_WAITLIST,
)
from shared.domain.results import result_document
from shared.errors import GuichetError, UnavailableError
from shared.line.status import LineJob, Question
from shared.services.line import LineClient
from shared.store.decisions import RecordedDecision, list_decided, list_recorded, list_recorded_of_user

# What somebody asked for themselves. The others are the control plane's, though some are about a user.
ASKED_KINDS: Final = tuple(kind for kind in KINDS if kind not in (EXPIRE_OFFER, SERVE_WAITLIST, END_WAITLIST))

# Whose ledger rows have the tickets of what they ended; who asked has named none.
_NAMES_NO_TICKETS: Final = frozenset({LEAVE_WAITLIST, DECLINE_OFFER, EXPIRE_OFFER})

# In one script, which keeps Redis from accepting for so long: two milliseconds.
JOBS_AT_ONCE: Final = 100


# What the line says of a job: itself, `absent` or `revoked`, or why it says nothing.
LineAnswer = LineJob | str | UnavailableError
# A job that the ledger is asked for, and whether a worker has it in hand.
Doubted = tuple[uuid.UUID, bool]


@dataclass(slots=True, kw_only=True)  # not frozen, for the microseconds; nobody changes one
class RequestStatus:
    """A request as its owner may see it. `result` is the worker's result document, None while undecided."""

    job_id: uuid.UUID
    kind: str
    event_id: int
    user_id: int | None
    tickets: int | None
    arrival: int | None
    accepted_at: str
    position: int | None = None
    ahead: int | None = None
    rate: float | None = None
    result: dict[str, Any] | None = None

    @property
    def is_decided(self) -> bool:
        """True once there is a decision; it never changes."""
        return self.result is not None

    def decided(self, result: dict[str, Any]) -> "RequestStatus":
        """The same request, with its decision. Raises LookupError and TypeError for what is no result of a worker."""
        return RequestStatus(
            job_id=self.job_id,
            kind=self.kind,
            event_id=self.event_id,
            user_id=self.user_id,
            tickets=_tickets(self.tickets, result),
            arrival=result["arrival"],
            accepted_at=self.accepted_at,
            result=result,
        )


def find_statuses(
    engine: Engine, line: LineClient, asked: Sequence[Question]
) -> list[RequestStatus | GuichetError | None]:
    """Each request's status; None when neither the line nor the ledger knows it.

    One round trip to Redis; one or two to PostgreSQL, for all that the line alone cannot answer. Revoked tokens are
    GuichetError `unauthenticated`, and UnavailableError is what cannot be known.
    """
    jobs = find_in_line(line, asked)
    doubts = [doubt(job_id, job) for (job_id, _), job in zip(asked, jobs, strict=True)]
    doubted = [each for each in doubts if each is not None]
    recorded = iter(find_in_ledger(engine, doubted) if doubted else ())
    return [
        weigh(job, None if each is None else next(recorded)) for job, each in zip(jobs, doubts, strict=True)
    ]


def find_in_line(line: LineClient, asked: Sequence[Question]) -> list[LineAnswer]:
    """What the line alone says. One round trip."""
    try:
        return [*line.find_jobs(asked)]
    except UnavailableError as error:
        # Redis is away: a decision can still be told; that there is none cannot.
        return [error] * len(asked)


def doubt(job_id: uuid.UUID, job: LineAnswer) -> Doubted | None:
    """What the ledger must be asked too: Redis does not know the job, or knows only that a worker has it in hand.
    While the reply is under way, or lost, the decision stands in the ledger, and may have been told from there already.
    """
    is_taken = isinstance(job, LineJob)
    if job == "revoked" or (isinstance(job, LineJob) and not job.is_taken):
        return None
    return job_id, is_taken


def find_in_ledger(
    engine: Engine, doubted: Sequence[Doubted]
) -> list[RequestStatus | UnavailableError | None]:
    """What the ledger has of jobs, each with whether a worker has it in hand. Of those it has nothing yet, nearly
    always: that much is asked cheaply. One round trip or two.
    """
    try:
        wanted = [job_id for job_id, is_taken in doubted if not is_taken]
        if len(wanted) < len(doubted):
            with single_statement(engine) as connection:
                wanted += list_decided(connection, [job_id for job_id, is_taken in doubted if is_taken])
        if not wanted:
            return [None] * len(doubted)
        with transaction(engine) as session:
            found = list_recorded(session, list(map(str, wanted)))
    except (SQLAlchemyError, OSError):
        return [UnavailableError("database_unavailable") for _ in doubted]
    recorded = {each.row.job_id: of_recorded(each) for each in found if each.row.kind in KINDS}
    return [recorded.get(job_id) for job_id, _ in doubted]


def weigh(
    job: LineAnswer, recorded: RequestStatus | UnavailableError | None
) -> RequestStatus | GuichetError | None:
    """What the line and the ledger, or its absence, together say."""
    if job == "revoked":
        return GuichetError("unauthenticated")
    if isinstance(recorded, RequestStatus):
        return recorded
    if isinstance(job, LineJob):
        return _of_line_job(job)
    error = recorded or (job if isinstance(job, UnavailableError) else None)
    if error is None:
        return None
    # One for each who asked: they are raised in threads of their own.
    return UnavailableError(
        error.code, error.detail, retry_after_seconds=error.retry_after_seconds, **error.facts
    )


def list_undecided(line: LineClient, user_id: int, *, before: uuid.UUID | None = None) -> list[RequestStatus]:
    """A user's requests that wait for their decision, or got it a moment ago. One round trip, and one for each hundred.
    Raises UnavailableError.
    """
    asked = [(job_id, None) for job_id in line.list_undecided(user_id) if before is None or job_id < before]
    found = (
        job
        for start in range(0, len(asked), JOBS_AT_ONCE)
        for job in line.find_jobs(asked[start : start + JOBS_AT_ONCE])
    )
    return [_of_line_job(job) for job in found if isinstance(job, LineJob)]


def list_requests(
    engine: Engine, line: LineClient, user_id: int, *, before: uuid.UUID | None, limit: int
) -> list[RequestStatus]:
    """A user's requests, undecided and decided, newest first. One round trip to Redis, one for each hundred that are
    undecided (at most the user's limit), and one to PostgreSQL. Raises UnavailableError.
    """
    statuses = {status.job_id: status for status in list_undecided(line, user_id, before=before)}
    with transaction(engine) as session:
        for recorded in list_recorded_of_user(
            session, user_id, kinds=ASKED_KINDS, before=before, limit=limit
        ):
            statuses[recorded.row.job_id] = of_recorded(recorded)
    return [statuses[job_id] for job_id in sorted(statuses, reverse=True)[:limit]]


def of_recorded(recorded: RecordedDecision) -> RequestStatus:
    """The status of a request that the ledger has decided."""
    row = recorded.row
    return RequestStatus(
        job_id=row.job_id,
        kind=row.kind,
        event_id=row.event_id,
        user_id=row.user_id,
        tickets=None if row.kind in _NAMES_NO_TICKETS else row.tickets,
        arrival=row.arrival,
        accepted_at=rfc3339(row.accepted_at),
        result=result_document(row, recorded.booking),
    )


def _of_line_job(job: LineJob) -> RequestStatus:
    payload, result = job.payload, job.result
    tickets = payload.get("tickets")
    return RequestStatus(
        job_id=job.job_id,
        kind=payload["kind"],
        event_id=payload["event_id"],
        user_id=payload["user_id"],
        tickets=tickets if result is None else _tickets(tickets, result),
        arrival=job.arrival if result is None else result["arrival"],
        accepted_at=job.accepted_at,
        position=job.position,
        ahead=job.ahead,
        rate=job.rate,
        result=result,
    )


def _tickets(asked: int | None, result: dict[str, Any]) -> int | None:
    """How many the request is about: those of the booking that it made or ended, or else those asked for."""
    return asked if result["booking"] is None else result["booking"]["tickets"]
