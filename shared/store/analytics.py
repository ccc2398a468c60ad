"""Reading the roll-ups. Every question reads rows of days, months or a few events: how many bookings, events and
users there are changes no answer's cost.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.domain.analytics import FIGURES, Block, Figures, Money, Period, percent

Ranking = Literal["bookings", "impressions"]

# No answer reads more than some thousand rows: compiling a statement would take longer.
_PLAN: Final = text("select set_config('jit', 'off', true)")

_NAMES: Final = ", ".join(FIGURES)
_SUMS: Final = ", ".join(f"coalesce(sum({name}), 0)" for name in FIGURES)

_DAYS: Final = text(f"select day, {_NAMES}, registrations from day_totals where day between :first and :last")  # noqa: S608
_REVENUE: Final = text(
    "select day, currency, booked_minor, cancelled_minor from day_revenue where day between :first and :last"
)
_TOTALS: Final = text(f"select {_SUMS}, coalesce(sum(registrations), 0) from day_totals")  # noqa: S608
_TOTAL_REVENUE: Final = text(
    "select currency, sum(booked_minor), sum(cancelled_minor) from day_revenue group by currency"
)

# Of the people active on a day, those whose day before lies outside of the period are new in it: each counts once.
_ACTIVITY: Final = text("""
select day, sum(users), coalesce(sum(users) filter (where previous_day < :first), 0),
    coalesce(sum(users) filter (where previous_day < :first and previous_day > '-infinity'), 0)
from activity_days where day between :first and :last group by day
""")

_UTILIZATION: Final = text("""
select coalesce(sum(events), 0), coalesce(sum(capacity), 0), coalesce(sum(tickets), 0)
from start_days where day between :first and :last
""")

# In the order of the index of what is behind, which is all but empty (`exists` would throw it away): a planner that is
# asked for any row takes a third of all to be behind, and reads the table until it finds one.
_FRESHNESS: Final = text("""
select coalesce((
        select created_at from outbox where set_aside_at is null and topic in ('ledger', 'impressions')
        order by id limit 1
    ), now()),
    history_counted and (
        select event_id from event_totals where counted_number < known_number
        order by known_number - counted_number desc limit 1
    ) is null
from analytics_state
""")

_EVENT_DAYS: Final = text(
    f"select day, {_NAMES} from event_days where event_id = :event_id and day between :first and :last"  # noqa: S608
)
_EVENT_REVENUE: Final = text("""
select day, currency, booked_minor, cancelled_minor from event_day_revenue where event_id = :event_id
""")

_LEADERS: Final = """
select v.block, l.event_id, l.value from unnest(cast(:blocks as date[])) v (block) cross join lateral (
    select event_id, {column} as value from {table} where {block} = v.block and {column} > 0
    order by {column} desc, event_id limit :full
) l
"""
# What the candidates have in whole months and in single days; hidden events are nobody's favourites.
_RANK: Final = """
select c.event_id,
    coalesce((select sum({column}) from event_months m where m.event_id = c.event_id and m.month = any(:months)), 0)
    + coalesce((select sum({column}) from event_days d where d.event_id = c.event_id and d.day = any(:days)), 0)
    as value
from unnest(cast(:events as bigint[])) c (event_id)
where exists (select from events e where e.id = c.event_id and e.deleted_at is null offset 0)
order by value desc, c.event_id limit :limit
"""
_MOST_OF_ALL_TIME: Final = {
    "impressions": "select id from events where deleted_at is null and impressions > 0"
    " order by impressions desc, id desc limit :limit",
    "bookings": "select t.event_id from event_totals t where t.bookings > 0 and exists ("
    " select from events e where e.id = t.event_id and e.deleted_at is null offset 0)"
    " order by t.bookings desc, t.event_id limit :limit",
}

_POPULAR: Final = text("""
select e.id, e.title, e.starts_at, e.capacity, e.booked, coalesce(t.bookings, 0) as bookings,
    coalesce(t.tickets - t.tickets_cancelled, 0) as tickets, e.impressions
from events e left join event_totals t on t.event_id = e.id where e.id = any(:events)
""")
_POPULAR_IN: Final = text("""
select e.id, e.title, e.starts_at, e.capacity, e.booked, d.bookings, d.tickets, d.impressions
from events e cross join lateral (
    select coalesce(sum(bookings), 0) as bookings, coalesce(sum(tickets - tickets_cancelled), 0) as tickets,
        coalesce(sum(impressions), 0) as impressions
    from event_days where event_id = e.id and day between :first and :last
) d where e.id = any(:events)
""")


@dataclass(slots=True)
class Day:
    """Everybody's figures of one day, or of many; or one event's."""

    figures: Figures = field(default_factory=Figures)
    money: dict[str, Money] = field(default_factory=dict)  # by currency
    new_users: int = 0
    active_users: int = 0

    def add(self, other: "Day") -> None:
        """Adds the other's figures and money; people who are active on two days cannot be added."""
        self.figures.add(other.figures)
        self.new_users += other.new_users
        for currency, money in other.money.items():
            self.money.setdefault(currency, Money()).add(money)


@dataclass(frozen=True, slots=True)
class Engagement:
    """People in a period: active in it, and those of them who were active before it."""

    active: int
    returning: int


@dataclass(frozen=True, slots=True)
class Utilization:
    """Published events that start in a period, their tickets, and how many of these are booked."""

    events: int
    capacity: int
    tickets: int

    @property
    def percent(self) -> float:
        """Of all their tickets."""
        return percent(self.tickets, self.capacity)


@dataclass(frozen=True, slots=True)
class Freshness:
    """Everything until `as_of` is counted; `complete` is False while older ledgers are still being counted."""

    as_of: datetime
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PopularEvent:
    """An event with what it had in a period, or ever; capacity and booked are those of now."""

    id: int
    title: str
    starts_at: datetime
    capacity: int
    booked: int
    bookings: int
    tickets: int
    impressions: int


def read_freshness(session: Session) -> Freshness:
    """How far the roll-ups are. Two round trips, three rows by index."""
    session.execute(_PLAN)
    as_of, complete = session.execute(_FRESHNESS).one()
    return Freshness(as_of, complete)


def list_days(session: Session, period: Period) -> tuple[dict[date, Day], Engagement]:
    """Every day of the period, those on which nothing happened too, and its people. Three round trips; reads a row
    a day, one a day and currency, and for each day one for each day on which its people were active before.
    """
    parameters = {"first": period.first, "last": period.last}
    days = {day: Day() for day in period.days()}
    for day, *figures, registrations in session.execute(_DAYS, parameters):
        days[day].figures = _figures(figures)
        days[day].new_users = registrations
    for day, currency, booked, cancelled in session.execute(_REVENUE, parameters):
        days[day].money[currency] = _money(booked, cancelled)
    active = returning = 0
    for day, users, first_here, were_before in session.execute(_ACTIVITY, parameters):
        days[day].active_users = int(users)
        active, returning = active + int(first_here), returning + int(were_before)
    return days, Engagement(active, returning)


def read_totals(session: Session) -> Day:
    """Of all time. Two round trips; reads a row for each day there ever was."""
    *figures, registrations = session.execute(_TOTALS).one()
    totals = Day(_figures(figures), new_users=int(registrations))
    for currency, booked, cancelled in session.execute(_TOTAL_REVENUE):
        totals.money[currency] = _money(booked, cancelled)
    return totals


def read_utilization(session: Session, period: Period) -> Utilization:
    """Of the published events that start in the period. One round trip, a row a day."""
    row = session.execute(_UTILIZATION, {"first": period.first, "last": period.last}).one()
    return Utilization(*map(int, row))


def list_event_days(session: Session, event_id: int, period: Period) -> tuple[dict[date, Day], Day]:
    """The event's days in the period, those on which nothing happened too; and beside them its money of all time.
    Two round trips; reads one event's rows.
    """
    days = {day: Day() for day in period.days()}
    parameters = {"event_id": event_id, "first": period.first, "last": period.last}
    for day, *figures in session.execute(_EVENT_DAYS, parameters):
        days[day].figures = _figures(figures)
    ever = Day()
    for day, currency, booked, cancelled in session.execute(_EVENT_REVENUE, {"event_id": event_id}):
        money = _money(booked, cancelled)
        ever.money.setdefault(currency, Money()).add(money)
        if day in days:
            days[day].money[currency] = money
    return days, ever


def list_leaders(
    session: Session, ranking: Ranking, *, months: Sequence[date], days: Sequence[date], full: int
) -> list[Block]:
    """The `full` first of each month and each day. Two round trips; reads just these rows, by an index."""
    blocks: dict[tuple[str, date], list[tuple[int, int]]] = defaultdict(list)
    for table, column, wanted in (("event_months", "month", months), ("event_days", "day", days)):
        statement = text(_LEADERS.format(table=table, block=column, column=ranking))
        for block, event_id, value in session.execute(statement, {"blocks": list(wanted), "full": full}):
            blocks[table, block].append((event_id, value))
    return [Block(leaders, full) for leaders in blocks.values()]


def rank(
    session: Session,
    ranking: Ranking,
    event_ids: Collection[int],
    *,
    months: Sequence[date],
    days: Sequence[date],
    limit: int,
) -> list[tuple[int, int]]:
    """The best of these events in these months and days, with what they have. One round trip; reads the rows of
    these events.
    """
    rows = session.execute(
        text(_RANK.format(column=ranking)),
        {"events": list(event_ids), "months": list(months), "days": list(days), "limit": limit},
    )
    return [(event_id, int(value)) for event_id, value in rows]


def list_most_of_all_time(session: Session, ranking: Ranking, *, limit: int) -> list[int]:
    """Events with most of it ever. One round trip; an index, in its order."""
    return list(session.scalars(text(_MOST_OF_ALL_TIME[ranking]), {"limit": limit}))


def list_popular(
    session: Session, event_ids: Collection[int], period: Period | None
) -> dict[int, PopularEvent]:
    """These events by id, with what they had in the period, or ever. One round trip; reads their rows."""
    parameters: dict[str, Any] = {"events": list(event_ids)}
    if period is not None:
        parameters |= {"first": period.first, "last": period.last}
    rows = session.execute(_POPULAR if period is None else _POPULAR_IN, parameters).mappings()
    figures = ("bookings", "tickets", "impressions")
    return {row["id"]: PopularEvent(**{**row, **{name: int(row[name]) for name in figures}}) for row in rows}


def _figures(values: Sequence[Any]) -> Figures:
    return Figures(**{name: int(value) for name, value in zip(FIGURES, values, strict=True)})


def _money(booked: Any, cancelled: Any) -> Money:  # noqa: ANN401 - Decimal
    return Money(booked_minor=int(booked), cancelled_minor=int(cancelled))
