"""Draining an event's line: what waits there now is withdrawn, each request at its place."""

import uuid
from dataclasses import dataclass

from sqlalchemy.orm import Session

from shared.clock import rfc3339
from shared.domain.drain import DrainMark, drain_facts, set_drain
from shared.domain.ledger import DRAIN
from shared.errors import NotFoundError
from shared.line.drain import LineEnd
from shared.models import Event
from shared.services import audit_log
from shared.services.event_ledger import append_control_row, lock_event
from shared.services.reasons import check_reason
from shared.store.clock import read_clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What a drain concerns: of `undecided` requests up to that arrival those that are bookings. `job_id` is
    that of the mark's ledger row; None when nothing was written: in a dry run, and when nothing waits.
    """

    event_id: int
    up_to_arrival: int
    undecided: int
    dry_run: bool
    job_id: uuid.UUID | None


def drain(
    session: Session,
    end: LineEnd,
    *,
    event_id: int,
    reason: str,
    actor_id: int | None,
    dry_run: bool = False,
    request_id: str | None = None,
    by: str | None = None,
) -> Drained:
    """Marks every booking that waits up to `end` of the event's line (`read_line_end`, read before this
    transaction): it is decided `withdrawn` when its turn comes, `withdrawn_by_admin`, with `reason`, which is public.

    The event's row is locked, so that a batch sees the whole mark or none of it: what it has decided stays. Four
    round trips. Raises `event_not_found`, and InvalidInputError for a reason that is none or too long.
    """
    check_reason(reason)
    event = session.get(Event, event_id) if dry_run else lock_event(session, event_id)
    if event is None or event.deleted_at is not None:
        raise NotFoundError("event_not_found")
    up_to_arrival = max(end.last_arrival, event.last_arrival)
    undecided = up_to_arrival - event.last_arrival
    job_id: uuid.UUID | None = None
    if undecided and not dry_run:
        mark = DrainMark(up_to_arrival=up_to_arrival, accepted_until=end.read_at, reason=reason)
        job_id = _set(session, event, mark, undecided, actor_id=actor_id, request_id=request_id, by=by)
    return Drained(
        event_id=event_id,
        up_to_arrival=up_to_arrival,
        undecided=undecided,
        dry_run=dry_run,
        job_id=job_id,
    )


def _set(
    session: Session,
    event: Event,
    mark: DrainMark,
    undecided: int,
    *,
    actor_id: int | None,
    request_id: str | None,
    by: str | None,
) -> uuid.UUID:
    """The mark three times: for the worker on the event's row, for everybody in its ledger, and who set it."""
    set_drain(event, mark)
    now = read_clock(session)
    job_id = append_control_row(session, event, DRAIN, drain_facts(mark), actor_id=actor_id, now=now)
    audit_log.record(
        session,
        actor_id=actor_id,
        action="event.drain",
        target_type="event",
        target_id=event.id,
        reason=mark.reason,
        changes={
            "up_to_arrival": mark.up_to_arrival,
            "accepted_until": rfc3339(mark.accepted_until),
            "undecided": undecided,
        },
        job_id=job_id,
        request_id=request_id,
        by=by,
    )
    session.flush()
    return job_id
