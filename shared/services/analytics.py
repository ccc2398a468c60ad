"""Rolling up: what is new in the ledgers, and who looked at what, is added to the figures that analytics answer from.

Each event's row of totals says how far its ledger is counted and is moved on in the transaction that counts, so a
row counts once, whoever says how often that it is there: a message of the outbox, the walk through events that were
there before, a rebuild.
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from shared.db import transaction
from shared.domain.analytics import EventCount, Figures, Rolled, next_spans
from shared.services.outbox import IMPRESSIONS, LEDGER, Message
from shared.store.analytics_ledger import add_activity, plan_by_index, read_ledger
from shared.store.analytics_state import (
    count_registrations,
    is_history_counted,
    list_behind,
    mark_history_counted,
    walk_heads,
)
from shared.store.analytics_tables import (
    add_rolled,
    add_start_days,
    lock_roll_ups,
    note_heads,
    read_counts,
    write_counts,
)

log = logging.getLogger(__name__)

# Ledger rows of one transaction: a second at most. What is left is counted by the schedule, a second later.
ROWS_MAX: Final = 50_000
# Events of one transaction that were there before: each is one look-up.
EVENTS_MAX: Final = 1_000


def roll_up_messages(session: Session, messages: Sequence[Message]) -> None:
    """Handler of the outbox: counts what its messages tell of. In the transaction that deletes them, a dozen round
    trips whatever their number.
    """
    heads: dict[int, int] = {}
    looks = Rolled()
    for message in messages:
        if message.topic == LEDGER and message.event_id is not None and message.to_number is not None:
            heads[message.event_id] = max(heads.get(message.event_id, 0), message.to_number)
        elif message.topic == IMPRESSIONS:
            _add_looks(looks, message)
    if not heads and not looks.days:
        return
    lock_roll_ups(session)
    plan_by_index(session)
    add_rolled(session, looks)
    note_heads(session, heads)
    count_ledgers(session, heads)


def catch_up(engine: Engine) -> int:
    """Counts the next rows that are known and not counted, else looks for those from before there were messages;
    returns how many events it looked at: 0 when nothing is left. One transaction of at most `ROWS_MAX` rows.
    """
    with transaction(engine) as session:
        behind = list_behind(session, limit=EVENTS_MAX)
        if not behind and is_history_counted(session):
            return 0
        lock_roll_ups(session)
        plan_by_index(session)
        if behind:
            count_ledgers(session, behind)
            return len(behind)
        heads = walk_heads(session, limit=EVENTS_MAX)
        if not heads:
            mark_history_counted(session)
            log.info("analytics have counted every ledger")
        count_ledgers(session, note_heads(session, heads))
        return len(heads)


def roll_up_registrations(engine: Engine) -> None:
    """Counts who registered, of every day since the one before the last that was counted: today again and again."""
    with transaction(engine) as session:
        lock_roll_ups(session)
        count_registrations(session)


def count_ledgers(session: Session, event_ids: Collection[int]) -> int:
    """Counts the next rows of these events' ledgers, at most `ROWS_MAX` of them; returns how many. Needs the roll-up
    lock. Up to ten round trips.
    """
    counts = read_counts(session, event_ids)
    spans = next_spans(
        {event_id: (count.counted_number, count.known_number) for event_id, count in counts.items()}, ROWS_MAX
    )
    if not spans:
        return 0
    rolled = read_ledger(session, spans)
    add_activity(session, spans)
    add_rolled(session, rolled)
    moved = [counts[span.event_id] for span in spans]
    before = [count.share() for count in moved]
    totals = rolled.totals()
    for count, span in zip(moved, spans, strict=True):
        count.counted_number = span.up_to
        count.settings = rolled.settings.get(span.event_id, count.settings)
        count.figures.add(totals.get(span.event_id, Figures()))
    write_counts(session, moved)
    add_start_days(session, _changed_shares(before, moved))
    return sum(span.up_to - span.after for span in spans)


def _changed_shares(
    before: Iterable[Mapping[date, tuple[int, int, int]]], after: Iterable[EventCount]
) -> dict[date, tuple[int, int, int]]:
    """What the events' shares of the days on which events start have changed by."""
    changes: dict[date, tuple[int, int, int]] = {}
    for sign, shares in ((-1, before), (1, (count.share() for count in after))):
        for share in shares:
            for day, values in share.items():
                known = changes.get(day, (0, 0, 0))
                changes[day] = (
                    known[0] + sign * values[0],
                    known[1] + sign * values[1],
                    known[2] + sign * values[2],
                )
    return changes


def _add_looks(looks: Rolled, message: Message) -> None:
    """A look counts on the UTC day on which it was written, by the database's clock."""
    day = message.created_at.astimezone(UTC).date()
    for event_id, count in message.payload["counts"].items():
        looks.add_day(int(event_id), day, Figures(impressions=count))
