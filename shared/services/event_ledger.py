"""The control plane's rows in an event's ledger: what its rules read, after each change."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from shared.domain.ledger import EVENT_SET, LedgerRow, chain_hash, event_set_facts
from shared.domain.outcomes import DONE
from shared.ids import BIGINT_MAX, uuid7
from shared.models import Decision, Event
from shared.services import audit_log, outbox


def lock_event(session: Session, event_id: int) -> Event | None:
    """The event's row, locked and read afresh; None when there is none. One round trip, waits for the lock.

    Counters and ledger head may be used and changed only after this, until the transaction ends.
    """
    if event_id > BIGINT_MAX:
        return None
    return session.get(Event, event_id, with_for_update=True, populate_existing=True)


def lock_events_of_host(session: Session, host_id: int) -> list[Event]:
    """All events of a host that are not hidden, locked in id order (the order in which workers lock)."""
    query = (
        select(Event)
        .where(Event.host_id == host_id, Event.deleted_at.is_(None))
        .order_by(Event.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return list(session.scalars(query))


def append_event_set(session: Session, event: Event, *, actor_id: int | None, now: datetime) -> uuid.UUID:
    """Writes the event as it is now into its ledger and moves the head; returns the row's job id.

    Conditions as for `append_control_row`.
    """
    return append_control_row(session, event, EVENT_SET, _facts(event), actor_id=actor_id, now=now)


def append_control_row(
    session: Session, event: Event, kind: str, facts: dict[str, Any], *, actor_id: int | None, now: datetime
) -> uuid.UUID:
    """Writes what the control plane did into the event's ledger and moves the head; returns the row's job id. The
    outbox is told of the row.

    The event's row must be locked (or new), and `now` read after that (`read_clock`): times in a ledger never
    go back, also when the clock does. No round trip of its own before the flush.
    """
    now = max(now, event.last_decided_at)
    row = LedgerRow(
        job_id=uuid7(),
        event_id=event.id,
        number=event.last_number + 1,
        arrival=None,
        kind=kind,
        user_id=actor_id,
        tickets=None,
        outcome=DONE,
        reason=None,
        booking_id=None,
        available_after=event.available,
        facts=facts,
        accepted_at=now,
        decided_at=now,
    )
    row.hash = chain_hash(event.last_hash, row)
    session.add(Decision(**{name: getattr(row, name) for name in LedgerRow.__slots__}))
    event.last_number, event.last_hash, event.last_decided_at = row.number, row.hash, now
    outbox.add_ledger_range(session, event.id, from_number=row.number, to_number=row.number)
    return row.job_id


def record_change(
    session: Session,
    event: Event,
    action: str,
    changes: Mapping[str, Any],
    *,
    actor_id: int | None,
    now: datetime,
    request_id: str | None,
) -> None:
    """Writes what was done to the event down twice: for the rules into its ledger, for people into the audit
    log. Conditions as for `append_event_set`.
    """
    audit_log.record(
        session,
        actor_id=actor_id,
        action=action,
        target_type="event",
        target_id=event.id,
        changes=changes,
        job_id=append_event_set(session, event, actor_id=actor_id, now=now),
        request_id=request_id,
    )


def _facts(event: Event) -> dict[str, Any]:
    return event_set_facts(
        capacity=event.capacity,
        max_per_booking=event.max_per_booking,
        status=event.status,
        deleted=event.deleted_at is not None,
        starts_at=event.starts_at,
        sales_open_at=event.sales_open_at,
        sales_close_at=event.sales_close_at,
        sales_paused=event.sales_paused,
        price_minor=event.price_minor,
        currency=event.currency,
        waitlist_enabled=event.waitlist_enabled,
    )
