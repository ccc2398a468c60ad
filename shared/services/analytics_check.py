"""Recounting: what the ledgers say, read again, against what the roll-ups say; differences are mended and logged.

Ledger rows never change, so they are read without a lock, and only what was counted meanwhile is read under it:
a recount may run at any time, and makes nobody wait for more than one small transaction.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from shared.db import transaction
from shared.domain.analytics import EventCount, Figures, Rolled, Span, next_spans
from shared.services.analytics import ROWS_MAX, catch_up, roll_up_registrations
from shared.store.analytics_ledger import add_activity, plan_by_index, read_ledger, recount_activity_of
from shared.store.analytics_recount import (
    allow_minutes,
    list_days,
    list_event_ids_after,
    list_event_ids_of_day,
    list_user_ids_after,
    mend_activity_days,
    mend_day_revenue,
    mend_day_totals,
    mend_months,
    mend_start_days,
    read_rolled,
)
from shared.store.analytics_state import count_registrations_again, list_heads_after
from shared.store.analytics_tables import (
    add_event_days,
    lock_roll_ups,
    note_heads,
    read_counts,
    write_counts,
)
from shared.store.clock import read_clock

log = logging.getLogger(__name__)

# Events, and users, that one transaction compares.
BATCH: Final = 500


@dataclass(slots=True)
class Recount:
    """What was looked at, and by table how many rows were wrong; those are mended."""

    events: int = 0
    users: int = 0
    days: int = 0
    mended: dict[str, int] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """For a task's result and the command's report."""
        return asdict(self)

    def found(self, table: str, count: int, **where: object) -> None:
        """Counts and logs what was wrong."""
        if count:
            self.mended[table] = self.mended.get(table, 0) + count
            log.error("analytics differ from the ledger", extra={"table": table, "rows": count, **where})


def check_yesterday(engine: Engine) -> Recount:
    """Recounts every event that something happened to yesterday, and yesterday itself; and looks for ledger rows
    that no message told of, of any day.
    """
    recount = Recount()
    with transaction(engine) as session:
        yesterday = read_clock(session).date() - timedelta(days=1)
    note_all_heads(engine)
    count_everything(engine)
    _recount_events(
        engine, recount, lambda session, after: list_event_ids_of_day(session, yesterday, after, limit=BATCH)
    )
    _recount_days(engine, recount, [yesterday])
    return recount


def rebuild(engine: Engine, told: Callable[[Recount], None] = lambda _recount: None) -> Recount:
    """Recounts everything from every ledger: events, days, users, registrations. Reads all of them, so minutes for
    millions of rows; looks at events keep their days, which nothing else knows.
    """
    recount = Recount()
    note_all_heads(engine)
    count_everything(engine)
    _recount_events(
        engine, recount, lambda session, after: list_event_ids_after(session, after, limit=BATCH), told
    )
    _recount_users(engine, recount, told)
    with transaction(engine) as session:
        days = list_days(session)
    _recount_days(engine, recount, days, told)
    with transaction(engine) as session:
        allow_minutes(session)
        lock_roll_ups(session)
        recount.found("event_months", mend_months(session))
        recount.found("start_days", mend_start_days(session))
        recount.found("activity_days", mend_activity_days(session))
        count_registrations_again(session)
    roll_up_registrations(engine)
    return recount


def recount_event(engine: Engine, event_id: int) -> Recount:
    """Recounts one event's ledger; its part in everybody's days is mended with it."""
    recount = Recount()
    with transaction(engine) as session:
        heads = list_heads_after(session, event_id - 1, limit=1)
        lock_roll_ups(session)
        note_heads(session, {event: number for event, number in heads.items() if event == event_id})
    count_everything(engine)
    _recount_batch(engine, recount, [event_id])
    return recount


def note_all_heads(engine: Engine) -> None:
    """Looks up the head of every ledger. A thousand events a transaction."""
    after = 0
    while True:
        with transaction(engine) as session:
            heads = list_heads_after(session, after, limit=2 * BATCH)
            lock_roll_ups(
                session
            )  # two who write rows of totals in different orders would wait for each other
            note_heads(session, heads)
        if not heads:
            return
        after = max(heads)


def count_everything(engine: Engine) -> None:
    """Counts until nothing is left that is known."""
    while catch_up(engine):
        pass


def _recount_events(
    engine: Engine,
    recount: Recount,
    next_ids: Callable[[Session, int], Sequence[int]],
    told: Callable[[Recount], None] = lambda _recount: None,
) -> None:
    after = 0
    while True:
        with transaction(engine) as session:
            event_ids = next_ids(session, after)
        if not event_ids:
            return
        _recount_batch(engine, recount, event_ids)
        told(recount)
        after = event_ids[-1]


def _recount_batch(engine: Engine, recount: Recount, event_ids: Sequence[int]) -> None:
    with transaction(engine) as session:
        heads = {count.event_id: count.counted_number for count in read_counts(session, event_ids).values()}
    truth = Rolled()
    for spans in _slices(heads):
        with transaction(engine) as session:
            plan_by_index(session)
            truth.add(read_ledger(session, spans))
    with transaction(engine) as session:
        lock_roll_ups(session)
        plan_by_index(session)
        counts = read_counts(session, event_ids)
        # what the schedule has counted since
        for spans in _slices({k: c.counted_number for k, c in counts.items()}, already=heads):
            truth.add(read_ledger(session, spans))
        _mend_days(session, recount, truth, event_ids)
        _mend_totals(session, recount, truth, counts)
    for spans in _slices(heads):  # a user's day that is missing; one that is too much is found with the users
        with transaction(engine) as session:
            lock_roll_ups(session)
            plan_by_index(session)
            recount.found("user_days", add_activity(session, spans), events=list(event_ids)[:10])
    recount.events += len(event_ids)


def _slices(heads: Mapping[int, int], already: Mapping[int, int] | None = None) -> Iterator[list[Span]]:
    """Spans of at most `ROWS_MAX` rows, until each event is read up to its head."""
    read = dict.fromkeys(heads, 0) | dict(already or {})
    while spans := next_spans(
        {event_id: (read[event_id], head) for event_id, head in heads.items()}, ROWS_MAX
    ):
        yield spans
        read.update((span.event_id, span.up_to) for span in spans)


def _mend_days(session: Session, recount: Recount, truth: Rolled, event_ids: Sequence[int]) -> None:
    """Adds what the events' days lack, and makes the sums of those that were wrong anew. Looks stay: they are not the
    ledger's.
    """
    lacking = Rolled()
    lacking.add(truth)
    lacking.add(read_rolled(session, event_ids), sign=-1)
    wrong = {key for key, value in lacking.days.items() if value}
    wrong_money = {key for key, value in lacking.money.items() if value}
    if not wrong and not wrong_money:
        return
    add_event_days(session, lacking)
    events = sorted({event_id for event_id, _ in wrong})
    recount.found("event_days", len(wrong), events=events[:10])
    recount.found("event_day_revenue", len(wrong_money), events=sorted({key[0] for key in wrong_money})[:10])
    recount.found("event_months", mend_months(session, events))
    for day in sorted({day for _, day in wrong} | {day for _, day, _ in wrong_money}):
        _mend_day(session, recount, day)


def _mend_day(session: Session, recount: Recount, day: date) -> None:
    recount.found("day_totals", mend_day_totals(session, day), day=day.isoformat())
    recount.found("day_revenue", mend_day_revenue(session, day), day=day.isoformat())


def _mend_totals(session: Session, recount: Recount, truth: Rolled, counts: Mapping[int, EventCount]) -> None:
    """Makes the events' rows of totals what their ledgers say, and then the days on which events start anew."""
    totals = truth.totals()
    wrong = []
    for event_id, count in counts.items():
        figures, settings = totals.get(event_id, Figures()), truth.settings.get(event_id)
        if (figures, settings) != (count.figures, count.settings):
            count.figures, count.settings = figures, settings
            wrong.append(count)
    if wrong:
        write_counts(session, wrong)
        recount.found("event_totals", len(wrong), events=[count.event_id for count in wrong[:10]])
        recount.found("start_days", mend_start_days(session))


def _recount_days(
    engine: Engine,
    recount: Recount,
    days: Sequence[date],
    told: Callable[[Recount], None] = lambda _recount: None,
) -> None:
    for day in days:
        with transaction(engine) as session:
            lock_roll_ups(session)
            _mend_day(session, recount, day)
        recount.days += 1
        told(recount)


def _recount_users(engine: Engine, recount: Recount, told: Callable[[Recount], None]) -> None:
    after = 0
    while True:
        with transaction(engine) as session:
            user_ids = list_user_ids_after(session, after, limit=BATCH)
            if not user_ids:
                return
            allow_minutes(session)
            lock_roll_ups(session)
            plan_by_index(session)
            recount.found("user_days", recount_activity_of(session, user_ids))
        recount.users += len(user_ids)
        told(recount)
        after = user_ids[-1]
