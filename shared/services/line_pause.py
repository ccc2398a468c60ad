"""Pausing the line: when `pause` has committed, no further request is decided until it ends."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from shared.clock import rfc3339_or_none
from shared.db import waiting
from shared.errors import InvalidInputError, UnavailableError
from shared.models import LineState
from shared.services import audit_log
from shared.services.reasons import check_reason

# A batch takes milliseconds; one that waits for an event's lock, five seconds.
LOCK_SECONDS: Final = 30
# The schedule has other things to do, and tries again.
SCHEDULE_LOCK_SECONDS: Final = 2

_TIMED_OUT: Final = ("55P03", "57014")  # lock_not_available, query_canceled


def pause(
    session: Session,
    *,
    actor_id: int | None,
    reason: str | None = None,
    resume_at: datetime | None = None,
    request_id: str | None = None,
    by: str | None = None,
) -> None:
    """Pauses deciding, until `resume_at` or until `resume`. Requests are still accepted, and wait. `by` is who
    typed it, for a command.

    Locks the row that every batch reads FOR SHARE: the caller waits for running batches, and every later one
    sees the pause. Pausing a paused line changes its reason and end. Raises UnavailableError `line_busy` when they
    do not end in time, InvalidInputError for a reason that is none and for an end that is not to come; nothing is
    changed then.
    """
    check_reason(reason)
    _refuse_the_past(session, resume_at)  # before anybody has to wait for the lock
    state = _lock(session, seconds=LOCK_SECONDS)
    _refuse_the_past(session, resume_at)
    if not _is_paused(session, state):
        state.paused_at = session.scalar(select(func.clock_timestamp()))
    state.paused, state.pause_reason, state.paused_by, state.resume_at = True, reason, actor_id, resume_at
    changes = {"resume_at": rfc3339_or_none(resume_at)}
    _record(
        session,
        "line.pause",
        actor_id=actor_id,
        reason=reason,
        changes=changes,
        request_id=request_id,
        by=by,
    )


def resume(
    session: Session,
    *,
    actor_id: int | None,
    reason: str | None = None,
    request_id: str | None = None,
    by: str | None = None,
) -> bool:
    """Ends the pause; False, changing nothing, when the line runs. Raises as `pause` does."""
    check_reason(reason)
    state = _lock(session, seconds=LOCK_SECONDS)
    was_paused = _is_paused(session, state)
    _clear(state)
    if was_paused:
        _record(
            session,
            "line.resume",
            actor_id=actor_id,
            reason=reason,
            changes={},
            request_id=request_id,
            by=by,
        )
    return was_paused


def end_if_over(session: Session) -> bool:
    """Clears a pause whose end has come, and writes the end down; for the schedule. False, changing nothing, when
    there is none.

    Nothing waits for this: to everybody who reads the row such a pause is over already. Locks only when it looks as
    if there were something to do, and for no longer than SCHEDULE_LOCK_SECONDS. Raises `line_busy`.
    """
    if not session.scalar(select(LineState.paused & (LineState.resume_at <= func.clock_timestamp()))):
        return False
    state = _lock(session, seconds=SCHEDULE_LOCK_SECONDS)
    if not state.paused or _is_paused(session, state):
        return False  # somebody was faster: it was resumed, or paused again
    _record(
        session,
        "line.resume",
        actor_id=None,
        reason=None,
        changes={"resume_at": rfc3339_or_none(state.resume_at)},
        request_id=None,
        by="schedule",
    )
    _clear(state)
    return True


def _clear(state: LineState) -> None:
    state.paused = False
    state.pause_reason = state.paused_by = state.paused_at = state.resume_at = None


def _lock(session: Session, *, seconds: int) -> LineState:
    # Batches hold the row FOR SHARE one after the other, and may overlap for longer than the usual five seconds.
    milliseconds = seconds * 1000
    limits = "set local lock_timeout = {}; set local statement_timeout = {}"
    session.execute(text(limits.format(milliseconds, milliseconds + 5_000)))
    # The table and not only its row: batches that share the row one after the other, without a gap, would keep a
    # writer of the row away for ever; behind a waiting table lock they queue.
    try:
        with waiting(seconds + 10):
            session.execute(text("lock table line_state in exclusive mode"))
    except OperationalError as error:
        if getattr(error.orig, "pgcode", None) not in _TIMED_OUT:
            raise
        raise UnavailableError("line_busy", retry_after_seconds=seconds) from error
    query = select(LineState).with_for_update().execution_options(populate_existing=True)
    return session.execute(query).scalar_one()


def _refuse_the_past(session: Session, resume_at: datetime | None) -> None:
    """By PostgreSQL's clock, which ends the pause."""
    if resume_at is not None and resume_at <= session.execute(select(func.clock_timestamp())).scalar_one():
        raise InvalidInputError([{"pointer": "#/resume_at", "detail": "Must be in the future."}])


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
    by: str | None,
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
        by=by,
    )
