"""The line's one row of state, and what Redis must be told when it is empty."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from shared.line.installation import Installation
from shared.models import ControlRequest, LineState, RevokedToken, User


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """The line's pause: nothing is decided until somebody resumes, or until `resume_at`."""

    reason: str | None
    paused_at: datetime | None
    resume_at: datetime | None


def get_installation(session: Session) -> Installation:
    """Installation id and number of partitions, fixed at the first migration. One row."""
    row = session.execute(select(LineState.installation_id, LineState.partitions)).one()
    return Installation(id=row.installation_id, partitions=row.partitions)


def find_pause(session: Session) -> Pause | None:
    """The pause, None when the line runs or the pause is over by PostgreSQL's clock. One row."""
    state = session.execute(
        select(LineState.pause_reason, LineState.paused_at, LineState.resume_at).where(
            LineState.paused, (LineState.resume_at.is_(None)) | (LineState.resume_at > func.now())
        )
    ).one_or_none()
    if state is None:
        return None
    return Pause(reason=state.pause_reason, paused_at=state.paused_at, resume_at=state.resume_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRecord:
    """The pause as admins see it. `by_id` and `by_name` are None for a command on the server."""

    reason: str | None
    by_id: int | None
    by_name: str | None
    paused_at: datetime | None
    resume_at: datetime | None


def find_pause_record(session: Session) -> PauseRecord | None:
    """Like `find_pause`, with who paused. One row."""
    row = session.execute(
        select(LineState.pause_reason, LineState.paused_at, LineState.resume_at, User.id, User.name)
        .outerjoin(User, User.id == LineState.paused_by)
        # The clock and not the transaction's start, for one that waited for the pause's lock.
        .where(
            LineState.paused, LineState.resume_at.is_(None) | (LineState.resume_at > func.clock_timestamp())
        )
    ).one_or_none()
    if row is None:
        return None
    return PauseRecord(
        reason=row.pause_reason,
        by_id=row.id,
        by_name=row.name,
        paused_at=row.paused_at,
        resume_at=row.resume_at,
    )


def forget_queued(session: Session) -> None:
    """Redis is empty: requests of the control plane that stood in it are put in again by the schedule, now
    rather than in a minute. As many rows as are undecided.
    """
    session.execute(update(ControlRequest).where(ControlRequest.decided_at.is_(None)).values(queued_at=None))


def list_revocations(session: Session) -> Mapping[str, datetime]:
    """Subjects whose tokens no longer count → until when. As many rows as log-outs in an access token's life."""
    query = select(RevokedToken.subject, RevokedToken.expires_at).where(RevokedToken.expires_at > func.now())
    return {row.subject: row.expires_at for row in session.execute(query)}
