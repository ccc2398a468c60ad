"""Messages that concern many people: told slice by slice, each slice a message of its own with a cursor.

An event with 100,000 bookings is two hundred slices, a few in a transaction, and whatever dies in between, the next one
goes on where the last one committed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.orm import Session

from shared.domain.notifications import EVENT_CHANGED, NEW_EVENT, SALES_OPEN, Notice
from shared.services import outbox
from shared.services.outbox import Message
from shared.store.audiences import FOLLOWERS, HOLDERS, INTERESTED, EventNow, list_audience, look_at_events

_AFTER: Final = "after"  # in a payload: the last person of the slice before


@dataclass(frozen=True, slots=True)
class FanOut:
    """Whom a topic concerns, what the cause of its notices is, and whether they still have to be told."""

    audience: str
    cause: Callable[[Message], str]
    still_true: Callable[[EventNow], bool]


# Topics are named like the kinds that come of them.
FAN_OUTS: Final[Mapping[str, FanOut]] = {
    EVENT_CHANGED: FanOut(
        HOLDERS, lambda message: f"{message.event_id}:{message.payload['version']}", lambda e: e.is_public
    ),
    NEW_EVENT: FanOut(FOLLOWERS, lambda message: str(message.event_id), lambda e: e.is_public),
    SALES_OPEN: FanOut(INTERESTED, lambda message: str(message.event_id), lambda e: e.is_on_sale),
}


def notices_of_fan_outs(session: Session, messages: Sequence[Message]) -> list[Notice]:
    """The next slice of each message, and a message for the rest. Two round trips a message and one more."""
    mine = [message for message in messages if message.topic in FAN_OUTS]
    if not mine:
        return []
    ids = [message.event_id for message in mine if message.event_id is not None]
    events = {event.id: event for event in look_at_events(session, ids)}
    notices: list[Notice] = []
    for message in mine:
        event = events.get(message.event_id or 0)
        if event is not None and FAN_OUTS[message.topic].still_true(event):
            notices += _slice(session, message, event.id)
    return notices


def _slice(session: Session, message: Message, event_id: int) -> list[Notice]:
    fan_out = FAN_OUTS[message.topic]
    facts: dict[str, Any] = {name: value for name, value in message.payload.items() if name != _AFTER}
    after = message.payload.get(_AFTER, 0)
    people = list_audience(session, fan_out.audience, event_id, after=after, limit=outbox.SLICE)
    if len(people) == outbox.SLICE:
        outbox.add(session, message.topic, event_id=event_id, payload={**facts, _AFTER: people[-1]})
    cause = f"{message.topic}:{fan_out.cause(message)}"
    return [
        Notice(user_id=user_id, kind=message.topic, cause=cause, event_id=event_id, facts=facts)
        for user_id in people
    ]
