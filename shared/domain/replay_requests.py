"""From a ledger row back to what was decided: the request, the event's fields, the deadline of that day."""

import uuid
from datetime import datetime, timedelta
from typing import Any, Final

from shared.clock import parse_rfc3339
from shared.domain.ledger import LedgerRow
from shared.domain.outcomes import FAILED, WAITLISTED
from shared.domain.permissions import ActingAs
from shared.domain.requests import (
    ACCEPT_OFFER,
    BOOK,
    CANCEL,
    DECLINE_OFFER,
    EXPIRE_OFFER,
    LIMITED_KINDS,
    Request,
    RequestKind,
)
from shared.domain.snapshot import EventState

_NAMES_AN_OFFER: Final = frozenset({ACCEPT_OFFER, DECLINE_OFFER, EXPIRE_OFFER})

_FACT_TYPES: Final = {
    "capacity": int,
    "max_per_booking": int,
    "status": str,
    "deleted": bool,
    "sales_paused": bool,
    "price_minor": int,
    "currency": str,
}


def request_of(row: LedgerRow, kind: RequestKind, *, arrival: int) -> Request:
    """The request that a ledger row decided, as far as the ledger knows it."""
    acting_as: ActingAs = row.facts.get("acting_as", "owner")
    return Request(
        job_id=row.job_id,
        kind=kind,
        event_id=row.event_id,
        user_id=row.user_id,
        arrival=arrival,
        accepted_at=row.accepted_at,
        tickets=row.tickets if kind in LIMITED_KINDS else None,
        booking_id=row.booking_id if kind == CANCEL else None,
        # A quarantined request says nothing of what it was about.
        offer_id=uuid.UUID(row.facts["offer_id"])
        if kind in _NAMES_AN_OFFER and row.outcome != FAILED
        else None,
        # Where it makes no difference to the decision, the row does not say.
        waitlist=kind == BOOK and (row.outcome == WAITLISTED or row.reason == "already_waiting"),
        acting_as=acting_as,
        withdrawn=row.reason == "withdrawn_by_user",
    )


def set_event(event: EventState, facts: dict[str, Any]) -> None:
    """Moves `event` on to the facts of an `event_set` row. Rows of before there were waitlists say nothing of one.

    Raises KeyError, TypeError or ValueError, having changed nothing, when they are not an event's.
    """
    waitlist_enabled = facts.get("waitlist_enabled", True)
    if type(waitlist_enabled) is not bool:
        raise TypeError("waitlist_enabled must be bool")
    for name, kind in _FACT_TYPES.items():
        if type(facts[name]) is not kind:
            raise TypeError(f"{name} must be {kind.__name__}")
    starts_at, sales_close_at = parse_rfc3339(facts["starts_at"]), parse_rfc3339(facts["sales_close_at"])
    open_at = facts["sales_open_at"]
    sales_open_at: datetime | None = None if open_at is None else parse_rfc3339(open_at)
    for name in _FACT_TYPES:
        setattr(event, name, facts[name])
    event.waitlist_enabled = waitlist_enabled
    event.starts_at, event.sales_open_at, event.sales_close_at = starts_at, sales_open_at, sales_close_at


def recorded_cancel_until(event: EventState, row: LedgerRow) -> timedelta:
    """The cancellation deadline is a setting that may change: each row that read it records it."""
    closes_at = row.facts.get("closes_at") if row.kind == CANCEL else None
    return event.starts_at - parse_rfc3339(closes_at) if closes_at else timedelta(hours=24)
