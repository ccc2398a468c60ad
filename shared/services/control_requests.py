"""Requests that the control plane makes: written with their cause, put into the line after the commit."""

import logging
import uuid
from collections.abc import Collection

from sqlalchemy import Engine, Select, func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from shared.db import transaction
from shared.domain.permissions import ActingAs
from shared.domain.requests import RequestKind
from shared.errors import UnavailableError
from shared.ids import uuid7
from shared.line.accept import Accepted, NewRequest, Replayed
from shared.line.doors import Door
from shared.models import ControlRequest, Decision, Event
from shared.services.line import LineClient

log = logging.getLogger(__name__)

# One run of the schedule; what is left waits for the next, a second later.
BATCH = 500


def add(
    session: Session,
    *,
    kind: RequestKind,
    event_id: int,
    user_id: int | None,
    acting_as: ActingAs,
    booking_id: uuid.UUID | None = None,
    request_id: str | None = None,
) -> uuid.UUID:
    """Writes the request in the caller's transaction, with its job id fixed, and returns the id. One row."""
    job_id = uuid7()
    session.add(
        ControlRequest(
            job_id=job_id,
            kind=kind,
            event_id=event_id,
            user_id=user_id,
            booking_id=booking_id,
            acting_as=acting_as,
            request_id=request_id,
        )
    )
    return job_id


def put_into_line(engine: Engine, line: LineClient, job_ids: Collection[uuid.UUID] | None = None) -> int:
    """Puts requests that are not in the line yet into it; those of `job_ids`, or the oldest `BATCH`.

    Call it after the commit that wrote them. Safe to repeat: the job id is fixed, and one that the ledger
    knows is only marked. Best effort, never raises for an outage: what fails stays for the schedule. Returns
    how many are in now.
    """
    if job_ids is not None and not job_ids:
        return 0
    queued: list[uuid.UUID] = []
    try:
        with transaction(engine) as session:
            waiting = session.execute(_waiting(job_ids)).all()
        for request, last_arrival, number in waiting:
            if number is None and not _send(line, request, last_arrival):
                log.error("the line refuses a control request", extra={"job_id": str(request.job_id)})
                continue
            queued.append(request.job_id)
    except (UnavailableError, SQLAlchemyError) as error:
        log.warning("control requests wait for the line", extra={"error": f"{type(error).__name__}: {error}"})
    _mark_queued(engine, queued)
    return len(queued)


def _waiting(job_ids: Collection[uuid.UUID] | None) -> Select[ControlRequest, int, int | None]:
    query = (
        select(ControlRequest, Event.last_arrival, Decision.number)
        .join(Event, Event.id == ControlRequest.event_id)
        .outerjoin(Decision, Decision.job_id == ControlRequest.job_id)
        .where(ControlRequest.queued_at.is_(None))
        .order_by(ControlRequest.created_at, ControlRequest.job_id)
        .limit(BATCH)
    )
    return query if job_ids is None else query.where(ControlRequest.job_id.in_(list(job_ids)))


def _mark_queued(engine: Engine, job_ids: Collection[uuid.UUID]) -> None:
    if not job_ids:
        return
    try:
        with transaction(engine) as session:
            session.execute(
                update(ControlRequest).where(ControlRequest.job_id.in_(job_ids)).values(queued_at=func.now())
            )
    except SQLAlchemyError as error:
        log.warning("control requests will be put again", extra={"error": f"{type(error).__name__}: {error}"})


def _send(line: LineClient, request: ControlRequest, last_arrival: int) -> bool:
    answer = line.accept(
        NewRequest(
            job_id=request.job_id,
            kind=request.kind,  # type: ignore[arg-type]  # the table's CHECK keeps it a RequestKind
            event_id=request.event_id,
            user_id=request.user_id,
            booking_id=request.booking_id,
            acting_as=request.acting_as,  # type: ignore[arg-type]
            request_id=request.request_id,
        ),
        Door(last_arrival=last_arrival),
    )
    return isinstance(answer, Accepted | Replayed)
