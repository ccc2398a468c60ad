"""Writing the roll-ups. Everything here wants the roll-up lock, and adds: nothing is read to be written again."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.domain.analytics import FIGURES, EventCount, EventSettings, Figures, Money, Rolled, month_of

# One transaction at a time rolls up, whoever it is: they meet at the rows of today anyway, and so in no other order.
_LOCK: Final = text("select pg_advisory_xact_lock(4703, 0)")


@dataclass(frozen=True, slots=True)
class _Sums:
    """A table of sums: columns of its key and of what is added up, each with its type."""

    name: str
    keys: Mapping[str, str]
    sums: Mapping[str, str]

    def adding(self) -> str:
        """Adds records to the rows of their keys, in the order of the keys."""
        columns = [*self.keys, *self.sums]
        types = ", ".join(f"{name} {kind}" for name, kind in {**self.keys, **self.sums}.items())
        changes = ", ".join(f"{name} = t.{name} + excluded.{name}" for name in self.sums)
        return (
            f"insert into {self.name} as t ({', '.join(columns)}) select {', '.join(columns)} "  # noqa: S608
            f"from json_to_recordset(cast(:records as json)) as r ({types}) order by {', '.join(self.keys)} "
            f"on conflict ({', '.join(self.keys)}) do update set {changes}"
        )


_FIGURES: Final = dict.fromkeys(FIGURES, "bigint")
_MONEY: Final = {"booked_minor": "numeric", "cancelled_minor": "numeric"}
_OF_EVENT: Final = {"event_id": "bigint", "day": "date"}
_RANKED: Final = ("bookings", "impressions")

_EVENT_DAYS: Final = text(_Sums("event_days", _OF_EVENT, _FIGURES).adding())
_EVENT_DAY_REVENUE: Final = text(
    _Sums("event_day_revenue", {**_OF_EVENT, "currency": "text"}, _MONEY).adding()
)
_EVENT_MONTHS: Final = text(
    _Sums("event_months", {"event_id": "bigint", "month": "date"}, dict.fromkeys(_RANKED, "bigint")).adding()
)
_DAY_TOTALS: Final = text(_Sums("day_totals", {"day": "date"}, _FIGURES).adding())
_DAY_REVENUE: Final = text(_Sums("day_revenue", {"day": "date", "currency": "text"}, _MONEY).adding())
_START_DAYS: Final = text(
    _Sums("start_days", {"day": "date"}, dict.fromkeys(("events", "capacity", "tickets"), "bigint")).adding()
)

_KNOW: Final = text("""
insert into event_totals as t (event_id, known_number)
select * from unnest(cast(:events as bigint[]), cast(:numbers as bigint[])) v (event_id, number) order by event_id
on conflict (event_id) do update set known_number = excluded.known_number
where t.known_number < excluded.known_number
returning event_id
""")

_COUNTS: Final = text("""
select event_id, known_number, counted_number, starts_on, published, capacity,
    bookings, tickets, cancellations, tickets_cancelled, waitlisted
from event_totals where event_id = any(:events) order by event_id
""")

_SET_COUNTS: Final = text("""
update event_totals t set counted_number = r.counted_number, starts_on = r.starts_on, published = r.published,
    capacity = r.capacity, bookings = r.bookings, tickets = r.tickets, cancellations = r.cancellations,
    tickets_cancelled = r.tickets_cancelled, waitlisted = r.waitlisted
from json_to_recordset(cast(:records as json)) as r (event_id bigint, counted_number bigint, starts_on date,
    published boolean, capacity integer, bookings bigint, tickets bigint, cancellations bigint,
    tickets_cancelled bigint, waitlisted bigint)
where t.event_id = r.event_id
""")


def lock_roll_ups(session: Session) -> None:
    """Makes this transaction the only one that rolls up until it ends. One round trip, waits for the lock."""
    session.execute(_LOCK)


def note_heads(session: Session, heads: Mapping[int, int]) -> list[int]:
    """Event → a row of its ledger that exists: remembers the highest, and returns the events that have moved. One
    round trip.
    """
    events = sorted(heads)
    parameters = {"events": events, "numbers": [heads[event_id] for event_id in events]}
    return list(session.scalars(_KNOW, parameters)) if events else []


def read_counts(session: Session, event_ids: Collection[int]) -> dict[int, EventCount]:
    """The events' rows of totals, by id. One round trip."""
    counts = {}
    for event_id, known, counted, starts_on, published, capacity, *figures in session.execute(
        _COUNTS, {"events": list(event_ids)}
    ):
        counts[event_id] = EventCount(
            event_id=event_id,
            known_number=known,
            counted_number=counted,
            settings=None if starts_on is None else EventSettings(starts_on, published, capacity),
            figures=Figures(**dict(zip(FIGURES, figures, strict=False))),
        )
    return counts


def write_counts(session: Session, counts: Iterable[EventCount]) -> None:
    """Makes the events' rows of totals this; `known_number` stays. One round trip."""
    records = []
    for count in counts:
        settings = count.settings
        records.append(
            {
                "event_id": count.event_id,
                "counted_number": count.counted_number,
                "starts_on": None if settings is None else settings.starts_on,
                "published": settings is not None and settings.published,
                "capacity": 0 if settings is None else settings.capacity,
                **{name: getattr(count.figures, name) for name in FIGURES if name != "impressions"},
            }
        )
    _write(session, _SET_COUNTS, records)


def add_rolled(session: Session, rolled: Rolled) -> None:
    """Adds figures and money to the events' days and months, and to everybody's days. Up to five round trips."""
    add_event_days(session, rolled)
    months: dict[tuple[int, date], Figures] = {}
    totals: dict[date, Figures] = {}
    for (event_id, day), figures in rolled.days.items():
        months.setdefault((event_id, month_of(day)), Figures()).add(figures)
        totals.setdefault(day, Figures()).add(figures)
    revenue: dict[tuple[date, str], Money] = {}
    for (_, day, currency), money in rolled.money.items():
        revenue.setdefault((day, currency), Money()).add(money)
    ranked = [
        {"event_id": event_id, "month": month, **{name: getattr(figures, name) for name in _RANKED}}
        for (event_id, month), figures in months.items()
        if figures.bookings or figures.impressions
    ]
    _write(session, _EVENT_MONTHS, ranked)
    _write(session, _DAY_TOTALS, [{"day": day, **_values(value)} for day, value in totals.items() if value])
    amounts = [
        {"day": day, "currency": currency, **_money_values(money)}
        for (day, currency), money in revenue.items()
        if money
    ]
    _write(session, _DAY_REVENUE, amounts)


def add_event_days(session: Session, rolled: Rolled) -> None:
    """Adds figures and money to the events' days and to nothing else. Up to two round trips."""
    days = [
        {"event_id": event_id, "day": day, **_values(figures)}
        for (event_id, day), figures in rolled.days.items()
        if figures
    ]
    _write(session, _EVENT_DAYS, days)
    revenue = [
        {"event_id": event_id, "day": day, "currency": currency, **_money_values(money)}
        for (event_id, day, currency), money in rolled.money.items()
        if money
    ]
    _write(session, _EVENT_DAY_REVENUE, revenue)


def add_start_days(session: Session, shares: Mapping[date, tuple[int, int, int]]) -> None:
    """Adds events, capacity and tickets to the days on which events start. One round trip at most."""
    records = [
        {"day": day, "events": events, "capacity": capacity, "tickets": tickets}
        for day, (events, capacity, tickets) in shares.items()
        if events or capacity or tickets
    ]
    _write(session, _START_DAYS, records)


def _write(session: Session, statement: Any, records: list[dict[str, Any]]) -> None:  # noqa: ANN401 - a text clause
    if records:
        session.execute(statement, {"records": orjson.dumps(records).decode()})


def _values(figures: Figures) -> dict[str, int]:
    return {name: getattr(figures, name) for name in FIGURES}


def _money_values(money: Money) -> dict[str, str]:
    # as text: beyond 64 bits it is no number to a JSON encoder
    return {"booked_minor": str(money.booked_minor), "cancelled_minor": str(money.cancelled_minor)}
