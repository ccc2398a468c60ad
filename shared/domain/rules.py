"""The booking rules, one function a kind of request. They read; `allocation` applies."""

from datetime import datetime
from typing import Any

from shared.clock import rfc3339
from shared.domain.outcomes import CANCELLED, CONFIRMED, DONE, WAITLISTED, Verdict, rejected
from shared.domain.requests import Request
from shared.domain.snapshot import EventState, Snapshot
from shared.domain.waitlist import entry_id_of


def judge_sale(
    *,
    status: str,
    deleted: bool,
    sales_paused: bool,
    sales_open_at: datetime | None,
    sales_close_at: datetime,
    at: datetime,
) -> Verdict | None:
    """The refusal that an event's state and sales window give at the instant `at`; None when sales are open.

    The door asks with its snapshot, the worker with the locked row: one rule for both.
    """
    if deleted or status == "draft":
        return rejected("event_not_found")
    if status == "cancelled":
        return rejected("event_cancelled")
    if sales_paused:
        return rejected("sales_paused")
    if sales_open_at is not None and at < sales_open_at:
        return rejected("sales_not_open", opens_at=rfc3339(sales_open_at))
    if at >= sales_close_at:
        return rejected("sales_closed", closed_at=rfc3339(sales_close_at))
    return None


def judge_event(event: EventState, now: datetime) -> Verdict | None:
    """The refusal that stands whatever the sales window says: nothing is booked for an event that is hidden, called
    off, or has started at the time of the decision.
    """
    if event.deleted or event.status == "draft":
        return rejected("event_not_found")
    if event.status == "cancelled":
        return rejected("event_cancelled")
    return rejected("event_started", starts_at=rfc3339(event.starts_at)) if now >= event.starts_at else None


def judge_request(snapshot: Snapshot, event: EventState, request: Request, now: datetime) -> Verdict | None:
    """The refusal of a request for tickets whatever is left: time rules at `accepted_at`, the start of the event at
    `now`. Raises ValueError for a request without a user or tickets.
    """
    if request.user_id is None or request.tickets is None or request.tickets < 1:
        raise ValueError("a request for tickets needs a user and tickets")
    if request.user_id in snapshot.closed_users:
        return rejected("account_closed")
    refusal = judge_sale(
        status=event.status,
        deleted=event.deleted,
        sales_paused=event.sales_paused,
        sales_open_at=event.sales_open_at,
        sales_close_at=event.sales_close_at,
        at=request.accepted_at,
    )
    if refusal is None:
        refusal = judge_event(event, now)
    if refusal is not None:
        return refusal
    if request.tickets > event.max_per_booking:
        return rejected("too_many_tickets", max_per_booking=event.max_per_booking)
    if (existing := snapshot.live.get((event.id, request.user_id))) is not None:
        return rejected("already_booked", booking_id=str(existing.id))
    return None


def judge_book(snapshot: Snapshot, event: EventState, request: Request, now: datetime) -> Verdict:
    """A booking: all tickets or none. Whoever has an open offer of that size accepts it; a booking ends any other
    place on the waitlist. With `waitlist`, for lack of tickets it waits instead of being refused.
    """
    entry = snapshot.entries.get((event.id, request.user_id or 0))
    place: dict[str, Any] = {}
    if entry is not None:
        place["entry_id"] = str(entry.id)
        if entry.offer is not None:
            place["offer_id"] = str(entry.offer.id)
            accepts = entry.tickets == request.tickets and request.accepted_at < entry.offer.expires_at
            if accepts and request.user_id not in snapshot.closed_users and judge_event(event, now) is None:
                return Verdict(CONFIRMED, None, place)
    if (refusal := judge_request(snapshot, event, request, now)) is not None:
        return refusal
    available = event.available
    if request.tickets is not None and request.tickets <= available:
        return Verdict(CONFIRMED, None, place)
    if request.waitlist and event.waitlist_enabled:
        if entry is not None:
            return rejected("already_waiting", **place)
        return Verdict(WAITLISTED, None, {"entry_id": str(entry_id_of(request.job_id))})
    if available == 0:
        return rejected("sold_out")
    return rejected("not_enough_left", available=available)


def judge_cancel(snapshot: Snapshot, event: EventState, request: Request) -> Verdict:
    """A cancellation: its owner until the deadline, judged at `accepted_at`; hosts and admins always."""
    facts: dict[str, str] = {"acting_as": request.acting_as}
    booking = snapshot.bookings.get(request.booking_id) if request.booking_id is not None else None
    owns = booking is not None and booking.user_id == request.user_id
    if (
        booking is None
        or booking.event_id != event.id
        or (request.acting_as in ("owner", "account") and not owns)
    ):
        return rejected("booking_not_found", **facts)
    if booking.status == CANCELLED:
        return rejected("already_cancelled", **facts)
    closes_at = event.starts_at - snapshot.terms.cancel_until
    facts["closes_at"] = rfc3339(closes_at)
    if request.acting_as == "owner" and request.accepted_at >= closes_at:
        return rejected("cancellation_closed", **facts)
    return Verdict(CANCELLED, None, facts)


def judge_call_off(event: EventState) -> Verdict:
    """The last row of a call-off: nothing is booked any more, and nobody waits."""
    if event.booked or event.offered or any(event.waiting):
        raise ValueError("a call-off ends when its slices have cancelled every booking and ended every entry")
    return Verdict(DONE)
