"""Deciding: one request at a time, in order of arrival, on a locked snapshot.

A batch gives exactly what the same requests, decided singly, would give: each request sees what the one before it
did, because deciding moves the snapshot on. The trick is only that one commit serves many decisions.

Before and after each request free tickets are offered to who waits for them, so that no request ever finds tickets
free that somebody who joined before it could have used.
"""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, cast

from shared.domain import requests as kinds
from shared.domain import waitlist
from shared.domain.drain import judge_drain
from shared.domain.ledger import CALL_OFF_SLICE, END_WAITLIST_SLICE, LedgerRow
from shared.domain.outcomes import CANCELLED, CONFIRMED, DONE, FAILED, WAITLISTED, WITHDRAWN, Verdict
from shared.domain.requests import LIMITED_KINDS, Request
from shared.domain.rows import append_row, take_arrival
from shared.domain.rules import judge_book, judge_call_off, judge_cancel
from shared.domain.snapshot import BookingState, Decided, EntryState, EventState, Plan, Snapshot
from shared.domain.waitlist_rules import judge_waitlist
from shared.ids import derived_uuid

# Bookings, and waitlist entries, that one slice ends: a transaction of some 10 ms, and a ledger row of 8 KB.
SLICE_SIZE = 200

# What is worked off in slices → the kind of their rows.
SLICE_KINDS: Final[dict[kinds.RequestKind, str]] = {
    kinds.CALL_OFF: CALL_OFF_SLICE,
    kinds.END_WAITLIST: END_WAITLIST_SLICE,
}


def booking_id_of(job_id: uuid.UUID) -> uuid.UUID:
    """The id of the booking that a request makes: known before it is decided, the same however often it is."""
    return derived_uuid(job_id, 0)


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

    `quarantined` requests are decided `failed` at their place, and nothing is offered around them. The plan's
    `undecided` are left for a fresh snapshot: enough was offered for one transaction, or whom to offer tickets next
    may not have been loaded. Raises PoisonError naming the request when our own code fails on one; the snapshot is
    then half moved and must be loaded again. Raises UnloadedError when nothing could be done at all, which is no
    request's fault.
    """
    plan = Plan()
    for index, request in enumerate(requests):
        event = snapshot.events.get(request.event_id)
        if event is None:
            plan.missing.append(request)
            continue
        serves = request.job_id not in quarantined
        try:
            cause = request.job_id
            if serves and not waitlist.serve(
                snapshot, plan, event, cause, now, offers_max=waitlist.OFFERS_MAX
            ):
                plan.undecided.extend(requests[index:])
                break
            row = decide_one(snapshot, plan, event, request, now, quarantined)
            served = not serves or waitlist.serve(snapshot, plan, event, cause, now)
            if not served or _is_enough(plan, row):
                plan.undecided.extend(requests[index + 1 :])
                break
        except MemoryError:
            raise  # the machine's trouble, not the request's
        except Exception as error:
            raise PoisonError(request.job_id) from error
    if plan.undecided and not plan.rows and not plan.missing:
        # a fresh snapshot would not help
        raise waitlist.UnloadedError("entries are counted that are not there")
    return plan


def _is_enough(plan: Plan, row: LedgerRow) -> bool:
    """Whether the transaction should end after this row: it has made its offers, or somebody booked who gave up a
    place on the waitlist for it. What that frees, or whom it takes out of a queue, `heads_wanted` allows for once.
    """
    if len(plan.offered) >= waitlist.OFFERS_MAX:
        return True
    books_and_waited = row.kind == kinds.BOOK and row.outcome == CONFIRMED and "entry_id" in row.facts
    return books_and_waited and plan.ended[-1].entry.status != waitlist.ACCEPTED


def decide_one(
    snapshot: Snapshot,
    plan: Plan,
    event: EventState,
    request: Request,
    now: datetime,
    quarantined: Collection[uuid.UUID] = (),
) -> LedgerRow:
    """Decides one request, adds it to `plan` and returns its row; offers nothing. A replay asks for just this."""
    if request.job_id in quarantined:
        verdict = Verdict(FAILED, "request_failed")
    else:
        verdict = _judge(snapshot, event, request, now)
    decided = _apply(snapshot, plan, event, request, verdict, now)
    plan.decided.append(decided)
    plan.rows.append(decided.row)
    return decided.row


def _judge(snapshot: Snapshot, event: EventState, request: Request, now: datetime) -> Verdict:
    if request.kind in LIMITED_KINDS and (verdict := _judge_marks(event, request)) is not None:
        return verdict
    if request.kind == kinds.BOOK:
        return judge_book(snapshot, event, request, now)
    if request.kind == kinds.CANCEL:
        return judge_cancel(snapshot, event, request)
    if request.kind == kinds.CALL_OFF:
        return judge_call_off(event)
    return judge_waitlist(snapshot, event, request, now)


def _judge_marks(event: EventState, request: Request) -> Verdict | None:
    """Marks come before every rule: whoever asked to leave, or was asked to, is told just that."""
    if request.withdrawn:
        return Verdict(WITHDRAWN, "withdrawn_by_user")
    return judge_drain(event, request)


def _apply(
    snapshot: Snapshot, plan: Plan, event: EventState, request: Request, verdict: Verdict, now: datetime
) -> Decided:
    booking: BookingState | None = None
    ended: EntryState | None = None
    if verdict.outcome == CONFIRMED:
        ended = _end_entry_that_books(snapshot, plan, event, request, verdict)
        tickets = request.tickets if request.tickets is not None or ended is None else ended.tickets
        booking = _make_booking(snapshot, event, request, tickets, now)
        plan.made.append(booking)
    elif verdict.outcome == CANCELLED and request.booking_id is not None:
        booking = snapshot.bookings[request.booking_id]
        cancel_booking(snapshot, event, booking)
        plan.cancelled.append(booking)
    elif verdict.outcome == DONE and request.kind in waitlist.ENDS_AS:
        ended = snapshot.entries[event.id, request.user_id or 0]
        waitlist.end(snapshot, plan, event, ended, waitlist.ENDS_AS[request.kind])
    about = booking or ended
    take_arrival(event, request.arrival)
    row = append_row(
        event,
        job_id=request.job_id,
        arrival=event.last_arrival,
        kind=request.kind,
        user_id=request.user_id,
        tickets=about.tickets if about is not None else request.tickets,
        verdict=verdict,
        booking_id=booking.id if booking is not None else request.booking_id,
        accepted_at=request.accepted_at,
        now=now,
    )
    if verdict.outcome == WAITLISTED:
        waitlist.join(snapshot, plan, event, row)
    if verdict.outcome == CONFIRMED and booking is not None:
        booking.arrival = event.last_arrival
    return Decided(request, row, booking)


def _end_entry_that_books(
    snapshot: Snapshot, plan: Plan, event: EventState, request: Request, verdict: Verdict
) -> EntryState | None:
    """Whoever books waits no more: an open offer of that size is what they booked, any other place is given up."""
    if "entry_id" not in verdict.facts:
        return None
    entry = snapshot.entries[event.id, request.user_id or 0]
    waitlist.end(
        snapshot, plan, event, entry, waitlist.ends_by_booking(entry, request.tickets, request.accepted_at)
    )
    return entry


def _make_booking(
    snapshot: Snapshot, event: EventState, request: Request, tickets: int | None, now: datetime
) -> BookingState:
    # the rules confirm no request without them
    user_id, tickets = cast("tuple[int, int]", (request.user_id, tickets))
    booking = BookingState(
        id=booking_id_of(request.job_id),
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


def decide_slice(
    snapshot: Snapshot,
    request: Request,
    bookings: Sequence[BookingState],
    entries: Sequence[EntryState],
    now: datetime,
) -> Plan:
    """One slice of a request of SLICED_KINDS: cancels `bookings`, ends waitlist `entries`, and records which in a row
    whose id derives from the job's.

    The request keeps its place in the line until its own row, the last.
    """
    event = snapshot.events[request.event_id]
    plan = Plan()
    for booking in bookings:
        cancel_booking(snapshot, event, booking)
        plan.cancelled.append(booking)
    for entry in entries:
        waitlist.end(snapshot, plan, event, entry, waitlist.EXPIRED)
    facts = {"cancelled": [str(booking.id) for booking in bookings]}
    if entries:  # absent in rows of before there were waitlists
        facts["ended"] = [str(entry.id) for entry in entries]
    row = append_row(
        event,
        job_id=derived_uuid(request.job_id, event.last_number + 1),
        arrival=None,
        kind=SLICE_KINDS[request.kind],
        user_id=request.user_id,
        tickets=sum(booking.tickets for booking in bookings),
        verdict=Verdict(DONE, None, facts),
        booking_id=None,
        accepted_at=request.accepted_at,
        now=now,
    )
    plan.rows.append(row)
    return plan
