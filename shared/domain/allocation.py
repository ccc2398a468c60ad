"""Deciding: one request at a time, in order of arrival, on a locked snapshot.

A batch gives exactly what the same requests, decided singly, would give: each request sees what the one before
it did, because deciding moves the snapshot on. The trick is only that one commit serves many decisions.
"""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import cast

from shared.domain.drain import judge_drain
from shared.domain.ledger import CALL_OFF_SLICE, LedgerRow, chain_hash
from shared.domain.outcomes import CANCELLED, CONFIRMED, DONE, FAILED, WITHDRAWN, Verdict
from shared.domain.requests import BOOK, CALL_OFF, CANCEL, LIMITED_KINDS, Request
from shared.domain.rules import judge_book, judge_call_off, judge_cancel
from shared.domain.snapshot import BookingState, Decided, EventState, Plan, Snapshot
from shared.ids import derived_uuid

# The part number under which a request's booking derives its id from the job's.
_BOOKING_PART = 0

# Bookings that one slice of a call-off cancels: a transaction of some 10 ms, and a ledger row of 8 KB.
CALL_OFF_SLICE_SIZE = 200


class PoisonError(Exception):
    """Our own code failed on exactly this request; it is quarantined, and the rest decided again."""

    def __init__(self, job_id: uuid.UUID) -> None:
        super().__init__(str(job_id))
        self.job_id = job_id


def decide(
    snapshot: Snapshot,
    requests: Sequence[Request],
    now: datetime,
    quarantined: Collection[uuid.UUID] = (),
) -> Plan:
    """Decides `requests` in the order given, moving `snapshot` on, and returns what is to be written.

    `quarantined` requests are decided `failed` at their place. Raises PoisonError naming the request when our
    own code fails on one; the snapshot is then half moved and must be loaded again.
    """
    plan = Plan()
    for request in requests:
        event = snapshot.events.get(request.event_id)
        if event is None:
            plan.missing.append(request)
            continue
        try:
            if request.job_id in quarantined:
                verdict = Verdict(FAILED, "request_failed")
            else:
                verdict = _judge(snapshot, event, request, now)
            plan.decided.append(_apply(snapshot, plan, event, request, verdict, now))
        except MemoryError:
            raise  # the machine's trouble, not the request's
        except Exception as error:
            raise PoisonError(request.job_id) from error
    return plan


def _judge(snapshot: Snapshot, event: EventState, request: Request, now: datetime) -> Verdict:
    if request.kind in LIMITED_KINDS and (verdict := _judge_marks(event, request)) is not None:
        return verdict
    if request.kind == BOOK:
        return judge_book(snapshot, event, request, now)
    if request.kind == CANCEL:
        return judge_cancel(snapshot, event, request)
    if request.kind == CALL_OFF:
        return judge_call_off(event)
    raise ValueError(f"unknown kind of request: {request.kind}")


def _judge_marks(event: EventState, request: Request) -> Verdict | None:
    """Marks come before every rule: whoever asked to leave, or was asked to, is told just that."""
    if request.withdrawn:
        return Verdict(WITHDRAWN, "withdrawn_by_user")
    return judge_drain(event, request)


def _apply(
    snapshot: Snapshot, plan: Plan, event: EventState, request: Request, verdict: Verdict, now: datetime
) -> Decided:
    booking: BookingState | None = None
    if verdict.outcome == CONFIRMED:
        booking = _make_booking(snapshot, event, request, now)
        plan.made.append(booking)
    elif verdict.outcome == CANCELLED and request.booking_id is not None:
        booking = snapshot.bookings[request.booking_id]
        cancel_booking(snapshot, event, booking)
        plan.cancelled.append(booking)
    _take_arrival(event, request.arrival)
    row = append_row(
        event,
        job_id=request.job_id,
        arrival=event.last_arrival,
        kind=request.kind,
        user_id=request.user_id,
        tickets=booking.tickets if booking is not None else request.tickets,
        verdict=verdict,
        booking_id=booking.id if booking is not None else request.booking_id,
        accepted_at=request.accepted_at,
        now=now,
    )
    if verdict.outcome == CONFIRMED and booking is not None:
        booking.arrival = event.last_arrival
    return Decided(request, row, booking)


def _make_booking(snapshot: Snapshot, event: EventState, request: Request, now: datetime) -> BookingState:
    # judge_book confirms no request without them
    user_id, tickets = cast("tuple[int, int]", (request.user_id, request.tickets))
    booking = BookingState(
        id=derived_uuid(request.job_id, _BOOKING_PART),
        event_id=event.id,
        user_id=user_id,
        job_id=request.job_id,
        tickets=tickets,
        status=CONFIRMED,
        price_minor=event.price_minor,
        currency=event.currency,
        created_at=now,
    )
    event.booked += tickets
    snapshot.live[event.id, user_id] = booking
    snapshot.bookings[booking.id] = booking
    return booking


def cancel_booking(snapshot: Snapshot, event: EventState, booking: BookingState) -> None:
    """Gives the booking's tickets back; the next request sees them free."""
    booking.status = CANCELLED
    event.booked -= booking.tickets
    snapshot.live.pop((event.id, booking.user_id), None)


def _take_arrival(event: EventState, arrival: int) -> None:
    """The worker has the last word: whatever number the request carries, it gets its predecessor's successor.

    Another number is possible only when Redis lost writes it had acknowledged; that is counted.
    """
    if arrival != event.last_arrival + 1:
        event.arrivals_reissued += 1
    event.last_arrival += 1


def append_row(
    event: EventState,
    *,
    job_id: uuid.UUID,
    arrival: int | None,
    kind: str,
    user_id: int | None,
    tickets: int | None,
    verdict: Verdict,
    booking_id: uuid.UUID | None,
    accepted_at: datetime,
    now: datetime,
) -> LedgerRow:
    """The event's next ledger row, chained to the one before; moves the event's ledger head on."""
    row = LedgerRow(
        job_id=job_id,
        event_id=event.id,
        number=event.last_number + 1,
        arrival=arrival,
        kind=kind,
        user_id=user_id,
        tickets=tickets,
        outcome=verdict.outcome,
        reason=verdict.reason,
        booking_id=booking_id,
        available_after=event.available,
        facts=verdict.facts,
        accepted_at=accepted_at,
        decided_at=now,
    )
    row.hash = chain_hash(event.last_hash, row)
    event.last_number = row.number
    event.last_hash = row.hash
    return row


def decide_call_off_slice(
    snapshot: Snapshot, request: Request, bookings: Sequence[BookingState], now: datetime
) -> tuple[LedgerRow, Plan]:
    """One slice of a call-off: cancels `bookings` and records which, in a row whose id derives from the job's.

    The request keeps its place in the line until its own row, the last (`judge_call_off`).
    """
    event = snapshot.events[request.event_id]
    plan = Plan()
    for booking in bookings:
        cancel_booking(snapshot, event, booking)
        plan.cancelled.append(booking)
    row = append_row(
        event,
        job_id=derived_uuid(request.job_id, event.last_number + 1),
        arrival=None,
        kind=CALL_OFF_SLICE,
        user_id=request.user_id,
        tickets=sum(booking.tickets for booking in bookings),
        verdict=Verdict(DONE, None, {"cancelled": [str(booking.id) for booking in bookings]}),
        booking_id=None,
        accepted_at=request.accepted_at,
        now=now,
    )
    return row, plan
