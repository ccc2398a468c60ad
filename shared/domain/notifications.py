"""What people are told of: kinds, causes, and the words in which they read it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from shared.clock import parse_rfc3339

BOOKING_CONFIRMED: Final = "booking_confirmed"
BOOKING_CANCELLED: Final = "booking_cancelled"
EVENT_CALLED_OFF: Final = "event_called_off"
EVENT_CHANGED: Final = "event_changed"
SALES_OPEN: Final = "sales_open"
NEW_EVENT: Final = "new_event"
OFFER_MADE: Final = "offer_made"
OFFER_EXPIRING: Final = "offer_expiring"
OFFER_EXPIRED: Final = "offer_expired"
WAITLIST_MOVED: Final = "waitlist_moved"

# Kind → what it tells.
KINDS: Final[Mapping[str, str]] = {
    BOOKING_CONFIRMED: "a booking was confirmed",
    BOOKING_CANCELLED: "a booking was cancelled, and by whom",
    EVENT_CALLED_OFF: "an event that one had a booking of, or waited for, was called off",
    EVENT_CHANGED: "start, end or venue of such an event changed",
    SALES_OPEN: "sales opened of an event one was interested in",
    NEW_EVENT: "a host whom one follows published an event",
    OFFER_MADE: "the waitlist's turn has come: tickets are held until `expires_at`",
    OFFER_EXPIRING: "such an offer is about to expire",
    OFFER_EXPIRED: "such an offer has expired",
    WAITLIST_MOVED: "one has moved up to the first places of a waitlist",
}
WAITLIST_KINDS: Final = (OFFER_MADE, OFFER_EXPIRING, OFFER_EXPIRED, WAITLIST_MOVED)

# What of an event concerns everybody who comes.
TOLD_FIELDS: Final = ("starts_at", "ends_at", "venue")

# Whoever waits is told at the first move that leaves them this near to the head, and once for each step: five times
# at most, however often others leave.
WAITLIST_STEPS: Final = (1, 2, 3, 5, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something to tell one person. `cause` is what happened: the same cause is told once, however often it is
    handled. `facts` holds JSON values.
    """

    user_id: int
    kind: str
    cause: str
    event_id: int
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventAbout:
    """What the words say of an event, as it is now."""

    title: str
    starts_at: datetime
    time_zone: str
    host_name: str


@dataclass(frozen=True, slots=True)
class Words:
    """A notification as a person reads it."""

    title: str
    body: str


def told_changes(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Those changes of an event that everybody who comes is told of; empty for none."""
    return {name: changes[name] for name in TOLD_FIELDS if name in changes}


def waitlist_step(place: int) -> int | None:
    """The step that a place is on: 1, 2, 3, 5 (for 4 and 5) or 10 (for 6 to 10); None further back."""
    return next((step for step in WAITLIST_STEPS if place <= step), None)


def words(kind: str, facts: Mapping[str, Any], event: EventAbout) -> Words:
    """The notification's title and body. A kind of a newer release says only which event it is about."""
    say = _SAY.get(kind)
    return Words("News", f"There is news about {event.title}.") if say is None else say(facts, event)


def _booking_confirmed(facts: Mapping[str, Any], event: EventAbout) -> Words:
    return Words(
        "Booking confirmed",
        f"{_tickets(facts)} for {event.title}, {_local(event.starts_at, event)}. Reference {facts['reference']}.",
    )


def _booking_cancelled(facts: Mapping[str, Any], event: EventAbout) -> Words:
    who = _WHO.get(facts["by"], "The organizers")
    return Words("Booking cancelled", f"{who} cancelled your booking of {_tickets(facts)} for {event.title}.")


def _event_called_off(facts: Mapping[str, Any], event: EventAbout) -> Words:
    consequence = (
        f"Your booking of {_tickets(facts)} is cancelled."
        if facts["booking_id"] is not None
        else "The waitlist is closed."
    )
    return Words("Event called off", f"{event.title} will not take place. {consequence}")


def _event_changed(facts: Mapping[str, Any], event: EventAbout) -> Words:
    changes = facts["changes"]
    said = [
        f"{name} {_local(parse_rfc3339(changes[field]['to']), event)} "
        f"(before: {_local(parse_rfc3339(changes[field]['from']), event)})"
        for field, name in (("starts_at", "it now starts"), ("ends_at", "it now ends"))
        if field in changes
    ]
    if "venue" in changes:
        said.append(
            f"it is now at {changes['venue']['to'] or 'a venue to be announced'} "
            f"(before: {changes['venue']['from'] or 'not announced'})"
        )
    return Words("Event changed", f"{event.title}: {'; '.join(said)}.")


def _sales_open(_facts: Mapping[str, Any], event: EventAbout) -> Words:
    return Words(
        "Sales are open", f"Tickets for {event.title}, {_local(event.starts_at, event)}, are on sale."
    )


def _new_event(_facts: Mapping[str, Any], event: EventAbout) -> Words:
    return Words("New event", f"{event.host_name} announced {event.title}, {_local(event.starts_at, event)}.")


def _offer_made(facts: Mapping[str, Any], event: EventAbout) -> Words:
    return Words(
        "Tickets for you",
        f"{_tickets(facts)} for {event.title} {_are(facts)} held for you until {_until(facts, event)}. "
        "Accept the offer before.",
    )


def _offer_expiring(facts: Mapping[str, Any], event: EventAbout) -> Words:
    return Words(
        "Your offer is about to expire",
        f"{_tickets(facts)} for {event.title} {_are(facts)} held for you only until {_until(facts, event)}.",
    )


def _offer_expired(facts: Mapping[str, Any], event: EventAbout) -> Words:
    return Words(
        "Your offer has expired", f"{_tickets(facts)} for {event.title} {_are(facts)} no longer held for you."
    )


def _waitlist_moved(facts: Mapping[str, Any], event: EventAbout) -> Words:
    place = facts["place"]
    where = "first" if place == 1 else f"number {place}"
    return Words("You moved up", f"You are now {where} on the waitlist of {event.title}.")


_SAY: Final[Mapping[str, Callable[[Mapping[str, Any], EventAbout], Words]]] = {
    BOOKING_CONFIRMED: _booking_confirmed,
    BOOKING_CANCELLED: _booking_cancelled,
    EVENT_CALLED_OFF: _event_called_off,
    EVENT_CHANGED: _event_changed,
    SALES_OPEN: _sales_open,
    NEW_EVENT: _new_event,
    OFFER_MADE: _offer_made,
    OFFER_EXPIRING: _offer_expiring,
    OFFER_EXPIRED: _offer_expired,
    WAITLIST_MOVED: _waitlist_moved,
}
# Under which right it was cancelled.
_WHO: Final[Mapping[str, str]] = {"owner": "You", "host": "The host", "admin": "An administrator"}


def _tickets(facts: Mapping[str, Any]) -> str:
    count = facts["tickets"]
    return "1 ticket" if count == 1 else f"{count} tickets"


def _are(facts: Mapping[str, Any]) -> str:
    return "is" if facts["tickets"] == 1 else "are"


def _until(facts: Mapping[str, Any], event: EventAbout) -> str:
    return _local(parse_rfc3339(facts["expires_at"]), event)


def _local(instant: datetime, event: EventAbout) -> str:
    """`Sat 1 June 2030, 20:00 (Europe/Paris)`: where the event is, the clock that people there read."""
    local = instant.astimezone(ZoneInfo(event.time_zone))
    return f"{local:%a} {local.day} {local:%B %Y, %H:%M} ({event.time_zone})"
