"""Outcomes and reasons: the words of a decision, the same in code, API, ledger and docs."""

from dataclasses import dataclass, field
from typing import Any, Final, Literal

Outcome = Literal["confirmed", "cancelled", "waitlisted", "withdrawn", "rejected", "failed", "done"]

CONFIRMED: Final = "confirmed"
CANCELLED: Final = "cancelled"
WAITLISTED: Final = "waitlisted"
WITHDRAWN: Final = "withdrawn"
REJECTED: Final = "rejected"
FAILED: Final = "failed"
DONE: Final = "done"

# reason → what it tells a person. Every `rejected`, `withdrawn` and `failed` decision has one.
REASONS: Final[dict[str, str]] = {
    "account_closed": "The account that asked was closed.",
    "already_booked": "You already have a live booking for this event.",
    "already_cancelled": "This booking is already cancelled.",
    "already_waiting": "You are on the waitlist of this event already.",
    "booking_not_found": "There is no such booking.",
    "cancellation_closed": "It is too late to cancel this booking.",
    "event_cancelled": "The event was called off.",
    "event_not_found": "There is no such event.",
    "event_started": "The event had started when the request's turn came.",
    "not_enough_left": "Fewer tickets are left than you asked for.",
    "not_waiting": "You are not on the waitlist of this event.",
    "offer_ended": "This offer has ended: it was accepted, declined or given up, or has expired.",
    "offer_expired": "The offer had expired.",
    "offer_not_due": "The offer has not expired yet.",
    "offer_not_found": "There is no such offer.",
    "request_failed": "The request could not be decided and was set aside; nothing was booked.",
    "sales_closed": "Sales have closed.",
    "sales_not_open": "Sales have not opened yet.",
    "sales_paused": "The host has paused sales.",
    "sold_out": "No tickets are left.",
    "tickets_available": "There are tickets: book them instead of waiting.",
    "too_many_tickets": "More tickets than one booking may have.",
    "waitlist_disabled": "This event has no waitlist.",
    "withdrawn_by_admin": "An admin emptied the event's line; your request was taken out of it.",
    "withdrawn_by_user": "You left the line.",
}


@dataclass(slots=True)  # not frozen: setting three frozen fields takes 0.4 µs longer
class Verdict:
    """What the rules say about one request, before anything is changed. Nobody changes one."""

    outcome: Outcome
    reason: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def rejected(reason: str, **facts: Any) -> Verdict:  # noqa: ANN401 - facts are JSON values
    """A refusal with its stable reason and the facts behind it."""
    return Verdict(REJECTED, reason, facts)
