"""Requests that the control plane makes: written with their cause, put into the line after the commit."""

import logging
import uuid
from collections.abc import Collection
from datetime import timedelta
from typing import Final

from sqlalchemy import Engine, Select, func, or_, select, update
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
BATCH: Final = 500

# A Redis that lost its data lost these too; the job id makes putting them again harmless.
PUT_AGAIN: Final = timedelta(minutes=1)


def add(
    session: Session,
    *,
    kind: RequestKind,
    event_id: int,
    user_id: int | None = None,
    acting_as: ActingAs = "owner",
    booking_id: uuid.UUID | None = None,
    offer_id: uuid.UUID | None = None,
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
            offer_id=offer_id,
            acting_as=acting_as,
            request_id=request_id,
        )
    )
    return job_id


def put_into_line(engine: Engine, line: LineClient, job_ids: Collection[uuid.UUID] | None = None) -> int:
    """Puts requests that the ledger does not know yet into the line; those of `job_ids`, or the oldest
    `BATCH` that are due: never put, or put a minute ago, in case Redis has lost its data since.

    Call it after the commit that wrote them. Safe to repeat: the job id is fixed, and the line knows its own.
    Best effort, never raises for an outage: what fails stays for the schedule. Returns how many were put.
    """
    if job_ids is not None and not job_ids:
        return 0
    put: list[uuid.UUID] = []
    decided: list[uuid.UUID] = []
    try:
        with transaction(engine) as session:
            due = session.execute(_due(job_ids)).all()
        for request, last_arrival, number in due:
            if number is not None:
                decided.append(request.job_id)
            elif _send(line, request, last_arrival):
                put.append(request.job_id)
            else:
                log.error("the line refuses a control request", extra={"job_id": str(request.job_id)})
    except (UnavailableError, SQLAlchemyError) as error:
        log.warning("control requests wait for the line", extra={"error": f"{type(error).__name__}: {error}"})
    _mark(engine, put=put, decided=decided)
    return len(put)


def _due(job_ids: Collection[uuid.UUID] | None) -> Select[ControlRequest, int, int | None]:
    query = (
        select(ControlRequest, Event.last_arrival, Decision.number)
        .join(Event, Event.id == ControlRequest.event_id)
        .outerjoin(Decision, Decision.job_id == ControlRequest.job_id)
        .where(
            ControlRequest.decided_at.is_(None),
            or_(ControlRequest.queued_at.is_(None), ControlRequest.queued_at < func.now() - PUT_AGAIN),
        )
        .order_by(ControlRequest.created_at, ControlRequest.job_id)
        .limit(BATCH)
    )
    return query if job_ids is None else query.where(ControlRequest.job_id.in_(list(job_ids)))


def _mark(engine: Engine, *, put: Collection[uuid.UUID], decided: Collection[uuid.UUID]) -> None:
    if not put and not decided:
        return
    changes = update(ControlRequest)
    try:
        with transaction(engine) as session:
            session.execute(changes.where(ControlRequest.job_id.in_(put)).values(queued_at=func.now()))
            session.execute(changes.where(ControlRequest.job_id.in_(decided)).values(decided_at=func.now()))
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
            offer_id=request.offer_id,
            acting_as=request.acting_as,  # type: ignore[arg-type]
            request_id=request.request_id,
            is_control=True,
        ),
        Door(last_arrival=last_arrival),
    )
    return isinstance(answer, Accepted | Replayed)
