"""Reading decisions back out of the ledger: the answer when Redis no longer knows a job."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields

from sqlalchemy import Connection, select, text
from sqlalchemy.orm import Session

from shared.domain.ledger import LedgerRow
from shared.domain.snapshot import BookingState
from shared.models import Booking, Decision

_ROW_FIELDS = [field.name for field in fields(LedgerRow)]
_BOOKING_FIELDS = [field.name for field in fields(BookingState)]


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """A ledger row and the booking it names, as it stands now."""

    row: LedgerRow
    booking: BookingState | None


def find_recorded(session: Session, job_id: uuid.UUID) -> RecordedDecision | None:
    """The decision of a job, None when the ledger has none. One round trip."""
    found = session.execute(_QUERY.where(Decision.job_id == job_id)).one_or_none()
    return None if found is None else _recorded(found[0], found[1])


def list_decided(connection: Connection, job_ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """Which of the jobs the ledger has. One round trip."""
    found = connection.execute(_DECIDED, {"job_ids": list(map(str, job_ids))})
    return list(found.scalars())


def list_recorded(session: Session, job_ids: Sequence[str]) -> list[RecordedDecision]:
    """Those decisions of `job_ids` that the ledger has, in no order. One round trip."""
    rows = session.execute(_QUERY.where(Decision.job_id.in_([uuid.UUID(job_id) for job_id in job_ids])))
    return [_recorded(decision, booking) for decision, booking in rows]


def list_recorded_of_user(
    session: Session, user_id: int, *, kinds: Sequence[str], before: uuid.UUID | None, limit: int
) -> list[RecordedDecision]:
    """A user's decisions, newest request first, from before the job `before`. One round trip, `limit` rows."""
    query = _QUERY.where(Decision.user_id == user_id, Decision.kind.in_(kinds))
    if before is not None:
        query = query.where(Decision.job_id < before)
    rows = session.execute(query.order_by(Decision.job_id.desc()).limit(limit))
    return [_recorded(decision, booking) for decision, booking in rows]


_DECIDED = text("select job_id from decisions where job_id = any(cast(:job_ids as uuid[]))")
_QUERY = select(Decision, Booking).outerjoin(Booking, Booking.id == Decision.booking_id)


def _recorded(decision: Decision, booking: Booking | None) -> RecordedDecision:
    return RecordedDecision(
        row=LedgerRow(**{name: getattr(decision, name) for name in _ROW_FIELDS}),
        booking=None
        if booking is None
        else BookingState(**{name: getattr(booking, name) for name in _BOOKING_FIELDS}),
    )
