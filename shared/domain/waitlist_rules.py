"""The rules of the waitlist, one function a kind of request. They read; `allocation` applies."""

from datetime import datetime
from typing import Any

from shared.clock import rfc3339
from shared.domain import requests as kinds
from shared.domain.outcomes import CONFIRMED, DONE, WAITLISTED, Verdict, rejected
from shared.domain.requests import Request
from shared.domain.rules import judge_event, judge_request
from shared.domain.snapshot import EntryState, EventState, Snapshot
from shared.domain.waitlist import OPEN, entry_id_of


def judge_waitlist(snapshot: Snapshot, event: EventState, request: Request, now: datetime) -> Verdict:
    """The verdict on a request that is about the waitlist. Raises ValueError for any other kind."""
    match request.kind:
        case kinds.JOIN_WAITLIST:
            return judge_join(snapshot, event, request, now)
        case kinds.LEAVE_WAITLIST:
            return judge_leave(snapshot, event, request)
        case kinds.ACCEPT_OFFER:
            return judge_accept(snapshot, event, request, now)
        case kinds.DECLINE_OFFER:
            return judge_decline(snapshot, event, request)
        case kinds.EXPIRE_OFFER:
            return judge_expire(snapshot, event, request, now)
        case kinds.SERVE_WAITLIST | kinds.END_WAITLIST:
            return Verdict(
                DONE
            )  # what it asks for is done before it: offers as before any request, or slices
    raise ValueError(f"unknown kind of request: {request.kind}")


def judge_join(snapshot: Snapshot, event: EventState, request: Request, now: datetime) -> Verdict:
    """Waiting for tickets: only while sales are open, and only for more than a booking could get now."""
    refusal = judge_request(snapshot, event, request, now)
    if refusal is not None:
        return refusal
    if not event.waitlist_enabled:
        return rejected("waitlist_disabled")
    if (entry := snapshot.entries.get((event.id, request.user_id or 0))) is not None:
        return rejected("already_waiting", entry_id=str(entry.id))
    if request.tickets is not None and request.tickets <= event.available:
        return rejected("tickets_available", available=event.available)
    return Verdict(WAITLISTED, None, {"entry_id": str(entry_id_of(request.job_id))})


def judge_leave(snapshot: Snapshot, event: EventState, request: Request) -> Verdict:
    """Leaving: whoever waits or has an open offer, at any time."""
    facts = {"acting_as": request.acting_as}
    entry = snapshot.entries.get((event.id, request.user_id or 0))
    if entry is None:
        return rejected("not_waiting", **facts)
    return Verdict(DONE, None, {**facts, **_ended(entry)})


def judge_accept(snapshot: Snapshot, event: EventState, request: Request, now: datetime) -> Verdict:
    """Accepting an offer in time (judged at `accepted_at`) books its tickets, sales open or not: they are held."""
    found = _open_offer(snapshot, event, request)
    if isinstance(found, Verdict):
        return found
    facts = {"offer_id": str(request.offer_id)}
    if request.user_id in snapshot.closed_users:
        return rejected("account_closed", **facts)
    if (refusal := judge_event(event, now)) is not None:
        return rejected(refusal.reason or "", **{**refusal.facts, **facts})
    if found.offer is not None and request.accepted_at >= found.offer.expires_at:
        return rejected("offer_expired", expired_at=rfc3339(found.offer.expires_at), **facts)
    return Verdict(CONFIRMED, None, _ended(found))


def judge_decline(snapshot: Snapshot, event: EventState, request: Request) -> Verdict:
    """Declining an open offer, at any time."""
    found = _open_offer(snapshot, event, request)
    return found if isinstance(found, Verdict) else Verdict(DONE, None, _ended(found))


def judge_expire(snapshot: Snapshot, event: EventState, request: Request, now: datetime) -> Verdict:
    """The end of an offer that nobody accepted: not before its time on the clock that accepts are judged by."""
    found = _open_offer(snapshot, event, request)
    if isinstance(found, Verdict):
        return found
    due = found.offer is None or request.accepted_at >= found.offer.expires_at or now >= event.starts_at
    return Verdict(DONE, None, _ended(found)) if due else rejected("offer_not_due", **_ended(found))


def _open_offer(snapshot: Snapshot, event: EventState, request: Request) -> EntryState | Verdict:
    """The entry whose open offer the request names, or the refusal."""
    facts = {"offer_id": str(request.offer_id)}
    entry = None if request.offer_id is None else snapshot.offered.get(request.offer_id)
    if entry is None or entry.offer is None or entry.event_id != event.id or entry.user_id != request.user_id:
        return rejected("offer_not_found", **facts)
    if entry.offer.status != OPEN:
        return rejected("offer_ended", offer_status=entry.offer.status, **facts)
    return entry


def _ended(entry: EntryState) -> dict[str, Any]:
    """Which entry, and which offer if it has one: the facts of what ends it."""
    facts = {"entry_id": str(entry.id)}
    return facts if entry.offer is None else {**facts, "offer_id": str(entry.offer.id)}
