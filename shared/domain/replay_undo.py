"""After a ledger row that is not what it should be: what it was expected to do is taken back, and what it says is done,
whatever the rules think of it, so that one fault is one finding and not a wrong remainder.
"""

import uuid
from datetime import datetime
from typing import Any, cast

from shared.clock import parse_rfc3339
from shared.domain import waitlist
from shared.domain.allocation import cancel_booking
from shared.domain.availability import SIZE_MAX
from shared.domain.ledger import CALL_OFF_SLICE, END_WAITLIST_SLICE, OFFER, LedgerRow
from shared.domain.outcomes import CANCELLED, CONFIRMED, DONE, WAITLISTED
from shared.domain.requests import ACCEPT_OFFER
from shared.domain.snapshot import BookingState, EntryState, EventState, OfferState, Plan, Snapshot


def take_back(snapshot: Snapshot, plan: Plan) -> None:
    """Undoes what deciding one row did to bookings and entries; the caller puts the event's counters back."""
    for booking in plan.made:
        del snapshot.bookings[booking.id], snapshot.live[booking.event_id, booking.user_id]
    for booking in plan.cancelled:
        booking.status = CONFIRMED
        snapshot.live[booking.event_id, booking.user_id] = booking
    for entry in plan.joined:
        snapshot.queues[entry.event_id][entry.tickets - 1].entries.remove(entry)
        snapshot.entries.pop((entry.event_id, entry.user_id), None)
    for entry in plan.offered:  # it still stands in its queue: only a look for the next one takes it out
        del snapshot.offered[cast("OfferState", entry.offer).id]
        entry.status, entry.offer = waitlist.WAITING, None
    for ended in plan.ended:
        ended.entry.status = ended.was
        if ended.entry.offer is not None:
            ended.entry.offer.status = waitlist.OPEN
        snapshot.entries[ended.entry.event_id, ended.entry.user_id] = ended.entry


def do_as_recorded(snapshot: Snapshot, event: EventState, row: LedgerRow) -> Plan:
    """Books, cancels, joins, offers or ends what the row says; returns what that was."""
    plan = Plan()
    entry = None if row.user_id is None else snapshot.entries.get((event.id, row.user_id))
    if row.outcome == CONFIRMED:
        if entry is not None and row.facts.get("entry_id") == str(entry.id):
            by_offer = row.kind == ACCEPT_OFFER and entry.offer is not None
            status = waitlist.ends_by_booking(entry, row.tickets, row.accepted_at)
            waitlist.end(snapshot, plan, event, entry, waitlist.ACCEPTED if by_offer else status)
        _book(snapshot, event, row)
    elif row.outcome == CANCELLED:
        _cancel(snapshot, event, {str(row.booking_id)})
    elif row.outcome == WAITLISTED and entry is None and row.tickets in range(1, SIZE_MAX + 1):
        waitlist.join(snapshot, plan, event, row)
    elif row.kind == OFFER:
        _offer(snapshot, plan, event, entry, row)
    elif row.kind in (CALL_OFF_SLICE, END_WAITLIST_SLICE):
        _cancel(snapshot, event, _texts(row.facts.get("cancelled")))
        ended = _texts(row.facts.get("ended"))
        for waits in [each for each in snapshot.entries.values() if str(each.id) in ended]:
            waitlist.end(snapshot, plan, event, waits, waitlist.EXPIRED)
    elif row.outcome == DONE and entry is not None and row.kind in waitlist.ENDS_AS:
        waitlist.end(snapshot, plan, event, entry, waitlist.ENDS_AS[row.kind])
    return plan


def _texts(named: Any) -> set[str]:  # noqa: ANN401 - whatever stands in the row
    return {text for text in named if isinstance(text, str)} if isinstance(named, list) else set()


def _cancel(snapshot: Snapshot, event: EventState, booking_ids: set[str]) -> None:
    for booking in snapshot.bookings.values():
        if str(booking.id) in booking_ids and booking.status == CONFIRMED:
            cancel_booking(snapshot, event, booking)


def _offer(
    snapshot: Snapshot, plan: Plan, event: EventState, entry: EntryState | None, row: LedgerRow
) -> None:
    expires_at = _instant(row.facts.get("expires_at"))
    if entry is None or entry.status != waitlist.WAITING or expires_at is None:
        return
    made = OfferState(id=row.job_id, status=waitlist.OPEN, expires_at=expires_at, created_at=row.decided_at)
    waitlist.hold(snapshot, plan, event, entry, made)


def _instant(value: Any) -> datetime | None:  # noqa: ANN401 - whatever stands in the row
    try:
        return parse_rfc3339(value)
    except (TypeError, ValueError, AttributeError):
        return None


def _book(snapshot: Snapshot, event: EventState, row: LedgerRow) -> None:
    booking_id: uuid.UUID | None = row.booking_id
    if booking_id is None or row.user_id is None or row.tickets is None:
        return
    booking = BookingState(
        id=booking_id,
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
