"""From a ledger row back to what was decided: the request, the event's fields, the deadline of that day, and
what the row says was done.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from shared.clock import parse_rfc3339
from shared.domain.allocation import cancel_booking
from shared.domain.ledger import CALL_OFF_SLICE, LedgerRow
from shared.domain.outcomes import CANCELLED, CONFIRMED
from shared.domain.permissions import ActingAs
from shared.domain.requests import BOOK, CANCEL, Request, RequestKind
from shared.domain.snapshot import BookingState, EventState, Snapshot

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
        tickets=row.tickets if kind == BOOK else None,
        booking_id=row.booking_id if kind == CANCEL else None,
        acting_as=acting_as,
        withdrawn=row.reason == "withdrawn_by_user",
    )


def set_event(event: EventState, facts: dict[str, Any]) -> None:
    """Moves `event` on to the facts of an `event_set` row.

    Raises KeyError, TypeError or ValueError, having changed nothing, when they are not an event's.
    """
    for name, kind in _FACT_TYPES.items():
        if type(facts[name]) is not kind:
            raise TypeError(f"{name} must be {kind.__name__}")
    starts_at, sales_close_at = parse_rfc3339(facts["starts_at"]), parse_rfc3339(facts["sales_close_at"])
    open_at = facts["sales_open_at"]
    sales_open_at: datetime | None = None if open_at is None else parse_rfc3339(open_at)
    for name in _FACT_TYPES:
        setattr(event, name, facts[name])
    event.starts_at, event.sales_open_at, event.sales_close_at = starts_at, sales_open_at, sales_close_at


def recorded_cancel_until(event: EventState, row: LedgerRow) -> timedelta:
    """The cancellation deadline is a setting that may change: each row that read it records it."""
    closes_at = row.facts.get("closes_at") if row.kind == CANCEL else None
    return event.starts_at - parse_rfc3339(closes_at) if closes_at else timedelta(hours=24)


def do_as_recorded(snapshot: Snapshot, event: EventState, row: LedgerRow) -> None:
    """Books or cancels what the row says, whatever the rules think of it."""
    if row.kind == BOOK and row.outcome == CONFIRMED:
        _book_as_recorded(snapshot, event, row)
    elif row.outcome == CANCELLED or row.kind == CALL_OFF_SLICE:
        named = row.facts.get("cancelled") if row.kind == CALL_OFF_SLICE else [str(row.booking_id)]
        wanted = {text for text in named if isinstance(text, str)} if isinstance(named, list) else set()
        for booking in snapshot.bookings.values():
            if str(booking.id) in wanted and booking.status == CONFIRMED:
                cancel_booking(snapshot, event, booking)


def _book_as_recorded(snapshot: Snapshot, event: EventState, row: LedgerRow) -> None:
    if row.booking_id is None or row.user_id is None or row.tickets is None:
        return
    booking = BookingState(
        id=row.booking_id,
        event_id=row.event_id,
        user_id=row.user_id,
        job_id=row.job_id,
        tickets=row.tickets,
        status=CONFIRMED,
        price_minor=event.price_minor,
        currency=event.currency,
        arrival=row.arrival or 0,
        created_at=row.decided_at,
    )
    event.booked += booking.tickets
    snapshot.bookings[booking.id] = snapshot.live[row.event_id, row.user_id] = booking
