"""The outbox: what happened is written with its cause, and told on afterwards, exactly once.

A handler writes what it makes of messages through the session in which they are deleted: both are committed or
neither is, whatever dies in between. What leaves the installation (mail, a broker) is written down by a delivery in
the same way and sent afterwards: no network call happens in a handler.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from traceback import extract_tb
from typing import Any, Final

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from shared.db import transaction
from shared.domain.notifications import EVENT_CHANGED, NEW_EVENT, SALES_OPEN
from shared.models import OutboxMessage
from shared.store import outbox as store
from shared.store.outbox import Backlog, Message, look_at_backlog

__all__ = [
    "IMPRESSIONS",
    "LEDGER",
    "OFFERS_EXPIRING",
    "TOPICS",
    "Backlog",
    "Handler",
    "Message",
    "add",
    "add_ledger_range",
    "drain",
    "drain_once",
    "look_at_backlog",
    "outbox_warnings",
    "retry_set_aside",
]

log = logging.getLogger(__name__)

LEDGER: Final = "ledger"  # these rows of this event's ledger are new
IMPRESSIONS: Final = (
    "impressions"  # so often were these events looked at: {"counts": {"<event id>": <looks>}}
)
OFFERS_EXPIRING: Final = "offers_expiring"  # these offers are about to expire: {"offers": [<offer ids>]}

# What this release can handle. A message of a newer one waits for a worker that knows it.
TOPICS: Final = frozenset({LEDGER, IMPRESSIONS, OFFERS_EXPIRING, EVENT_CHANGED, NEW_EVENT, SALES_OPEN})

# One transaction, and what a crash repeats. A person told costs 50 to 150 µs, so a tenth to a third of a second: the
# schedule has other entries that are due every second.
MESSAGES_MAX: Final = 40  # a slice of a call-off is one row, and two hundred people
ROWS_MAX: Final = 2_000
# A message that concerns many people is worked off in slices of so many, each with a message of its own.
SLICE: Final = 500

# Health says so from here on; a turn is due every second.
LATE_SECONDS: Final = 60.0

# One turn of the schedule, which has other things to do.
TURN_SECONDS: Final = 0.5

# SQLSTATE classes that are a message's own fault; everything else may pass.
_DATA_ERROR_CLASSES: Final = ("22", "23")

Handler = Callable[[Session, Sequence[Message]], None]


def add(
    session: Session, topic: str, *, event_id: int | None = None, payload: Mapping[str, Any] | None = None
) -> None:
    """Writes a message in the caller's transaction: it is told on if that commits. One row."""
    session.add(OutboxMessage(topic=topic, event_id=event_id, payload=dict(payload or {})))


def add_ledger_range(session: Session, event_id: int, *, from_number: int, to_number: int) -> None:
    """Says that these rows of the event's ledger are new, in the transaction that wrote them. One row."""
    session.add(OutboxMessage(topic=LEDGER, event_id=event_id, from_number=from_number, to_number=to_number))


def drain(engine: Engine, handlers: Sequence[Handler]) -> int:
    """Tells on what waits, for TURN_SECONDS at most; returns how many messages. Several may drain at once."""
    handled = 0
    deadline = time.monotonic() + TURN_SECONDS
    while done := drain_once(engine, handlers):
        handled += done
        if time.monotonic() >= deadline:
            break
    return handled


def drain_once(engine: Engine, handlers: Sequence[Handler]) -> int:
    """Hands the oldest messages to every handler and deletes them, in one transaction; returns how many.

    At most MESSAGES_MAX of them, and about ROWS_MAX ledger rows or people. One that cannot be handled, because our
    code or its data is wrong, is set aside alone; what is nobody's fault (an outage, a time-out, a deadlock) raises,
    nothing has happened then, and the next turn tries again.
    """
    with transaction(engine) as session:
        messages = _bounded(store.take_messages(session, TOPICS, limit=MESSAGES_MAX))
        if not messages:
            return 0
        failed = _handle(session, messages, handlers)
        for message_id, error in failed.items():
            store.set_aside(session, message_id, error)
        told = [message.id for message in messages if message.id not in failed]
        store.delete_messages(session, told)
    return len(messages)


def retry_set_aside(session: Session) -> int:
    """Has the oldest messages that were set aside handed over once more: this release may be able to handle them.
    Returns how many; one that still cannot be handled is set aside again. For the schedule.
    """
    return store.try_again(session, limit=MESSAGES_MAX)


def outbox_warnings(backlog: Backlog) -> dict[str, str]:
    """What health says about it: empty while messages are told on at once."""
    warnings = {}
    if backlog.oldest_seconds >= LATE_SECONDS:
        warnings["outbox"] = (
            f"{backlog.waiting} messages wait, the oldest {backlog.oldest_seconds:.0f} s: is a task worker alive?"
        )
    if backlog.set_aside:
        warnings["outbox_set_aside"] = f"{backlog.set_aside} messages could not be told on"
    return warnings


def _bounded(messages: Sequence[Message]) -> list[Message]:
    """The first of them, until together they are enough work; at least one. The others' locks end unused."""
    taken: list[Message] = []
    rows = 0
    for message in messages:
        rows += _weight(message)
        if taken and rows > ROWS_MAX:
            break
        taken.append(message)
    return taken


def _weight(message: Message) -> int:
    if message.from_number is None or message.to_number is None:
        return SLICE
    return message.to_number - message.from_number + 1


def _handle(session: Session, messages: Sequence[Message], handlers: Sequence[Handler]) -> dict[int, str]:
    """Hands all of them over; returns those that cannot be handled, with the error of each. Halves what fails until
    it is alone: a few more savepoints for each that is wrong.
    """
    try:
        with session.begin_nested():
            for handler in handlers:
                handler(session, messages)
    except Exception as error:
        if not _is_its_own_fault(error):
            raise
        if len(messages) == 1:
            return {messages[0].id: _set_aside(messages[0], error)}
        half = len(messages) // 2
        return _handle(session, messages[:half], handlers) | _handle(session, messages[half:], handlers)
    return {}


def _is_its_own_fault(error: Exception) -> bool:
    if isinstance(error, DBAPIError):
        return (getattr(error.orig, "pgcode", None) or "")[:2] in _DATA_ERROR_CLASSES
    return not isinstance(error, MemoryError | OSError)


def _set_aside(message: Message, error: Exception) -> str:
    """What is kept and logged: the kind of error and where it came from, never its text, which may quote people."""
    sqlstate = getattr(getattr(error, "orig", None), "pgcode", None)
    kind = type(error).__name__ if sqlstate is None else f"{type(error).__name__} {sqlstate}"
    places = [frame for frame in extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
    where = f"{places[-1].name}:{places[-1].lineno}" if places else "unknown"
    log.error(
        "outbox message set aside",
        extra={"message_id": message.id, "topic": message.topic, "event_id": message.event_id}
        | {"error": kind, "where": where},
    )
    return f"{kind} in {where}"
