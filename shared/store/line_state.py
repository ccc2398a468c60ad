"""The line's one row of state, and what Redis must be told when it is empty."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from shared.line.installation import Installation
from shared.models import LineState, RevokedToken


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


def list_revocations(session: Session, *, within_seconds: float | None = None) -> Mapping[str, datetime]:
    """Subjects whose tokens no longer count → until when; only the last `within_seconds` when given."""
    query = select(RevokedToken.subject, RevokedToken.expires_at).where(RevokedToken.expires_at > func.now())
    if within_seconds is not None:
        query = query.where(RevokedToken.revoked_at > func.now() - text(f"interval '{float(within_seconds)} s'"))
    return {row.subject: row.expires_at for row in session.execute(query)}
