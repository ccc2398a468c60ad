"""The waitlist: entries in order of joining, and offers to whoever has waited longest among those who fit.

An entry that wants more than is free keeps its place while others are served; what no entry can use is public. An
offer holds its tickets until it is accepted, declined or expired, and an entry gets at most one.
"""

import uuid
from datetime import datetime
from typing import Final

from shared.clock import rfc3339
from shared.domain.ledger import OFFER, LedgerRow
from shared.domain.outcomes import DONE, Verdict
from shared.domain.requests import DECLINE_OFFER, EXPIRE_OFFER, LEAVE_WAITLIST
from shared.domain.rows import append_row
from shared.domain.snapshot import (
    EndedEntry,
    EntryState,
    EventState,
    OfferState,
    Plan,
    Snapshot,
    WaitingQueue,
)
from shared.ids import derived_uuid

WAITING: Final = "waiting"
OFFERED: Final = "offered"
ACCEPTED: Final = "accepted"
DECLINED: Final = "declined"
EXPIRED: Final = "expired"
LEFT: Final = "left"
OPEN: Final = "open"

# How the entry ends of whoever's request succeeds.
ENDS_AS: Final = {LEAVE_WAITLIST: LEFT, DECLINE_OFFER: DECLINED, EXPIRE_OFFER: EXPIRED}

# What becomes of an entry's open offer when the entry ends so.
_OFFER_ENDS: Final = {ACCEPTED: ACCEPTED, DECLINED: DECLINED, EXPIRED: EXPIRED, LEFT: DECLINED}

# Enough offers for one transaction: some 10 ms. What is left before a request is offered in the next, and the request
# decided after that. What a request frees is offered in its own transaction all the same (at most SIZE_MAX offers
# more): nobody may ask for anything afterwards, and the tickets would lie idle.
OFFERS_MAX: Final = 200


def entry_id_of(job_id: uuid.UUID) -> uuid.UUID:
    """The id of the entry that a request makes. A booking's derives in the same way: a request makes one of the two."""
    return derived_uuid(job_id, 0)


class UnloadedError(Exception):
    """Who has waited longest is not in the snapshot: what was loaded is used up."""


def join(snapshot: Snapshot, plan: Plan, event: EventState, row: LedgerRow) -> EntryState:
    """Puts whom `row` says at the end of the waitlist."""
    if row.user_id is None or row.tickets is None:
        raise ValueError("an entry needs a user and tickets")
    entry = EntryState(
        id=entry_id_of(row.job_id),
        event_id=event.id,
        user_id=row.user_id,
        job_id=row.job_id,
        number=row.number,
        tickets=row.tickets,
        status=WAITING,
        created_at=row.decided_at,
    )
    queue = snapshot.queues[event.id][entry.tickets - 1]
    if queue.complete:  # otherwise others wait between those loaded and this one
        queue.entries.append(entry)
    event.waiting[entry.tickets - 1] += 1
    snapshot.entries[event.id, entry.user_id] = entry
    plan.joined.append(entry)
    return entry


def end(snapshot: Snapshot, plan: Plan, event: EventState, entry: EntryState, status: str) -> None:
    """Ends an entry that waits or has an open offer, and the offer with it: its tickets are free again."""
    plan.ended.append(EndedEntry(entry, entry.status))
    if entry.status == WAITING:
        event.waiting[entry.tickets - 1] -= 1
    else:
        event.offered -= entry.tickets
    if entry.offer is not None:
        entry.offer.status = _OFFER_ENDS[status]
    entry.status = status
    del snapshot.entries[event.id, entry.user_id]


def ends_by_booking(entry: EntryState, tickets: int | None, accepted_at: datetime) -> str:
    """How the entry of somebody ends who books `tickets` (None: those of the offer): by its offer, or beside it."""
    if entry.offer is None:
        return LEFT
    if accepted_at >= entry.offer.expires_at:
        return EXPIRED  # these are other tickets: of the offer nothing was left but its end
    return ACCEPTED if tickets in (None, entry.tickets) else LEFT


def serve(
    snapshot: Snapshot,
    plan: Plan,
    event: EventState,
    cause: uuid.UUID,
    now: datetime,
    *,
    offers_max: int | None = None,
) -> bool:
    """Makes offers until nobody who waits fits into what is free; each has its row in the ledger.

    `cause` is the job id of the request before or after which this happens. False when the transaction has to end
    first: it has made `offers_max` offers, or has used up the entries it loaded.
    """
    if not may_offer(event, now):
        return True
    try:
        while (entry := find_next(snapshot, event)) is not None:
            if offers_max is not None and len(plan.offered) >= offers_max:
                return False
            expires_at = min(now + snapshot.terms.offer_lifetime, event.starts_at)
            plan.rows.append(offer(snapshot, plan, event, entry, cause=cause, expires_at=expires_at, now=now))
    except UnloadedError:
        return False
    return True


def may_offer(event: EventState, now: datetime) -> bool:
    """Whether free tickets of this event are for who waits: until it starts, also after sales have closed."""
    return (
        any(event.waiting)  # first: asked twice a decision, and mostly nobody waits
        and event.waitlist_enabled
        and event.free > 0
        and event.status == "scheduled"
        and not event.deleted
        and not event.sales_paused
        and now < event.starts_at
        and (event.sales_open_at is None or now >= event.sales_open_at)
    )


def find_next(snapshot: Snapshot, event: EventState) -> EntryState | None:
    """Who has waited longest among those that fit into what is free; None when nobody does.

    Raises UnloadedError when somebody fits whom the snapshot does not have.
    """
    oldest: EntryState | None = None
    sizes = zip(snapshot.queues[event.id], event.waiting[: event.free], strict=False)
    for queue, entries in sizes:
        if entries:
            head = _head(queue)
            if oldest is None or head.number < oldest.number:
                oldest = head
    return oldest


def _head(queue: WaitingQueue) -> EntryState:
    while queue.entries and queue.entries[0].status != WAITING:
        queue.entries.popleft()
    if not queue.entries:
        raise UnloadedError
    return queue.entries[0]


def offer(
    snapshot: Snapshot,
    plan: Plan,
    event: EventState,
    entry: EntryState,
    *,
    cause: uuid.UUID,
    expires_at: datetime,
    now: datetime,
) -> LedgerRow:
    """Holds tickets for a waiting entry and returns the offer's ledger row, whose job id is the offer's id."""
    offer_id = derived_uuid(cause, event.last_number + 1)
    hold(
        snapshot,
        plan,
        event,
        entry,
        OfferState(id=offer_id, status=OPEN, expires_at=expires_at, created_at=now),
    )
    facts = {"entry_id": str(entry.id), "expires_at": rfc3339(expires_at), "cause": str(cause)}
    return append_row(
        event,
        job_id=offer_id,
        arrival=None,
        kind=OFFER,
        user_id=entry.user_id,
        tickets=entry.tickets,
        verdict=Verdict(DONE, None, facts),
        booking_id=None,
        accepted_at=now,
        now=now,
    )


def hold(snapshot: Snapshot, plan: Plan, event: EventState, entry: EntryState, made: OfferState) -> None:
    """The entry waits no more: its tickets are held under the offer."""
    event.waiting[entry.tickets - 1] -= 1
    event.offered += entry.tickets
    entry.status, entry.offer = OFFERED, made
    snapshot.offered[made.id] = entry
    plan.offered.append(entry)
