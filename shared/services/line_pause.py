"""Pausing the line: when `pause` has committed, no further request is decided until it ends."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from shared.models import LineState
from shared.services import audit_log


def pause(
    session: Session,
    *,
    actor_id: int | None,
    reason: str | None = None,
    resume_at: datetime | None = None,
    request_id: str | None = None,
) -> None:
    """Pauses deciding, until `resume_at` or until `resume`. Requests are still accepted, and wait.

    Locks the row that every batch reads FOR SHARE: the caller waits for running batches, and every later one
    sees the pause. Pausing a paused line changes its reason and end.
    """
    state = _lock(session)
    if not _is_paused(session, state):
        state.paused_at = session.scalar(select(func.clock_timestamp()))
    state.paused, state.pause_reason, state.paused_by, state.resume_at = True, reason, actor_id, resume_at
    changes = {"resume_at": None if resume_at is None else resume_at.isoformat()}
    _record(session, "line.pause", actor_id=actor_id, reason=reason, changes=changes, request_id=request_id)


def resume(
    session: Session, *, actor_id: int | None, reason: str | None = None, request_id: str | None = None
) -> bool:
    """Ends the pause; False, changing nothing, when the line runs."""
    state = _lock(session)
    was_paused = _is_paused(session, state)
    state.paused = False
    state.pause_reason = state.paused_by = state.paused_at = state.resume_at = None
    if was_paused:
        _record(session, "line.resume", actor_id=actor_id, reason=reason, changes={}, request_id=request_id)
    return was_paused


def _lock(session: Session) -> LineState:
    # Batches hold the row FOR SHARE one after the other, and may overlap for longer than the usual five seconds.
    session.execute(text("set local lock_timeout = '30s'; set local statement_timeout = '35s'"))
    # The table and not only its row: batches that share the row one after the other, without a gap, would keep a
    # writer of the row away for ever; behind a waiting table lock they queue.
    session.execute(text("lock table line_state in exclusive mode"))
    query = select(LineState).with_for_update().execution_options(populate_existing=True)
    return session.execute(query).scalar_one()


def _is_paused(session: Session, state: LineState) -> bool:
    """A pause whose end has come is over, though its row still stands."""
    if not state.paused or state.resume_at is None:
        return state.paused
    now: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
    return state.resume_at > now


def _record(
    session: Session,
    action: str,
    *,
    actor_id: int | None,
    reason: str | None,
    changes: Mapping[str, object],
    request_id: str | None,
) -> None:
    audit_log.record(
        session,
        actor_id=actor_id,
        action=action,
        target_type="line",
        target_id="bookings",
        reason=reason,
        changes=changes,
        request_id=request_id,
    )
