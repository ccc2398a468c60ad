"""SQL of a recount: what the roll-ups say of some events, and the tables that are sums of other tables."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from shared.domain.analytics import FIGURES, Figures, Money, Rolled
from shared.models import DayTotals, EventDay, EventDayRevenue, EventTotals, User
from shared.store.analytics_ledger import KEPT_PAIR

# Beyond what the control plane may take: only a task and a command come here.
_MINUTES: Final = text("select set_config('statement_timeout', '600000', true)")

_NAMES: Final = ", ".join(FIGURES)

# Rows that are what they should be are not touched: the statement gives how many were not.
_MEND_DAY: Final = text(f"""
with truth as (
    select coalesce(sum(bookings), 0) as bookings, coalesce(sum(tickets), 0) as tickets,
        coalesce(sum(cancellations), 0) as cancellations, coalesce(sum(tickets_cancelled), 0) as tickets_cancelled,
        coalesce(sum(waitlisted), 0) as waitlisted, coalesce(sum(impressions), 0) as impressions
    from event_days where day = :day
)
insert into day_totals as t (day, {_NAMES}) select :day, {_NAMES} from truth
where (select bookings + tickets + cancellations + tickets_cancelled + waitlisted + impressions from truth) <> 0
    or exists (select from day_totals where day = :day)
on conflict (day) do update set ({_NAMES}) = row({", ".join("excluded." + name for name in FIGURES)})
where ({", ".join("t." + name for name in FIGURES)}) is distinct from ({", ".join("excluded." + n for n in FIGURES)})
returning day
""")  # noqa: S608 - constants only

_MEND_DAY_REVENUE: Final = text("""
with truth as (
    select r.currency, sum(r.booked_minor) as booked_minor, sum(r.cancelled_minor) as cancelled_minor
    from event_days d join event_day_revenue r on r.event_id = d.event_id and r.day = d.day
    where d.day = :day group by r.currency
), surplus as (
    delete from day_revenue where day = :day and currency not in (select currency from truth) returning currency
), written as (
    insert into day_revenue as t (day, currency, booked_minor, cancelled_minor)
    select :day, currency, booked_minor, cancelled_minor from truth
    on conflict (day, currency) do update
        set booked_minor = excluded.booked_minor, cancelled_minor = excluded.cancelled_minor
    where (t.booked_minor, t.cancelled_minor) is distinct from (excluded.booked_minor, excluded.cancelled_minor)
    returning currency
)
select currency from surplus union all select currency from written
""")

_MEND_MONTHS: Final = text("""
with truth as (
    select event_id, date_trunc('month', day)::date as month, sum(bookings) as bookings, sum(impressions) as impressions
    from event_days where :every or event_id = any(:events)
    group by 1, 2 having sum(bookings) <> 0 or sum(impressions) <> 0
), surplus as (
    delete from event_months m where not exists (
        select from truth t where t.event_id = m.event_id and t.month = m.month
    ) and (bookings <> 0 or impressions <> 0) and (:every or event_id = any(:events)) returning event_id
), written as (
    insert into event_months as t (event_id, month, bookings, impressions) select * from truth
    on conflict (event_id, month) do update set bookings = excluded.bookings, impressions = excluded.impressions
    where (t.bookings, t.impressions) is distinct from (excluded.bookings, excluded.impressions)
    returning event_id
)
select event_id from surplus union all select event_id from written
""")

_MEND_START_DAYS: Final = text("""
with truth as (
    select starts_on as day, count(*) as events, sum(capacity) as capacity, sum(tickets - tickets_cancelled) as tickets
    from event_totals where published and starts_on is not null group by starts_on
), surplus as (
    delete from start_days where day not in (select day from truth)
        and (events <> 0 or capacity <> 0 or tickets <> 0) returning day
), written as (
    insert into start_days as t (day, events, capacity, tickets) select * from truth
    on conflict (day) do update
        set events = excluded.events, capacity = excluded.capacity, tickets = excluded.tickets
    where (t.events, t.capacity, t.tickets) is distinct from (excluded.events, excluded.capacity, excluded.tickets)
    returning day
)
select day from surplus union all select day from written
""")

_MEND_ACTIVITY_DAYS: Final = text(f"""
with pairs as (
    select day, lag(day, 1, date '-infinity') over (partition by user_id order by day) as previous_day from user_days
), truth as (
    select day, {KEPT_PAIR} as previous_day, count(*) as users from pairs group by 1, 2
), surplus as (
    delete from activity_days a where users <> 0 and not exists (
        select from truth t where t.day = a.day and t.previous_day = a.previous_day
    ) returning day
), written as (
    insert into activity_days as t (day, previous_day, users) select * from truth
    on conflict (day, previous_day) do update set users = excluded.users where t.users <> excluded.users
    returning day
)
select day from surplus union all select day from written
""")  # noqa: S608 - constants only


def allow_minutes(session: Session) -> None:
    """Lets the statements of this transaction take ten minutes."""
    session.execute(_MINUTES)


def list_event_ids_after(session: Session, event_id: int, *, limit: int) -> list[int]:
    """The next events that are counted, by id. One round trip."""
    query = select(EventTotals.event_id).where(EventTotals.event_id > event_id)
    return list(session.scalars(query.order_by(EventTotals.event_id).limit(limit)))


def list_event_ids_of_day(session: Session, day: date, event_id: int, *, limit: int) -> list[int]:
    """The next events that something happened to on that day, by id. One round trip; sorts the day's events."""
    query = select(EventDay.event_id).where(EventDay.day == day, EventDay.event_id > event_id)
    return list(session.scalars(query.order_by(EventDay.event_id).limit(limit)))


def list_user_ids_after(session: Session, user_id: int, *, limit: int) -> list[int]:
    """The next users by id. One round trip."""
    return list(session.scalars(select(User.id).where(User.id > user_id).order_by(User.id).limit(limit)))


def list_days(session: Session) -> list[date]:
    """Every day that something happened on. One round trip, one row a day."""
    return list(session.scalars(select(DayTotals.day).order_by(DayTotals.day)))


def read_rolled(session: Session, event_ids: Sequence[int]) -> Rolled:
    """What the roll-ups say of these events, without looks. Two round trips, two rows a day and event."""
    rolled = Rolled()
    for day in session.scalars(select(EventDay).where(EventDay.event_id.in_(event_ids))):
        figures = {name: getattr(day, name) for name in FIGURES if name != "impressions"}
        rolled.add_day(day.event_id, day.day, Figures(**figures))
    for row in session.scalars(select(EventDayRevenue).where(EventDayRevenue.event_id.in_(event_ids))):
        money = Money(booked_minor=int(row.booked_minor), cancelled_minor=int(row.cancelled_minor))
        rolled.add_money(row.event_id, row.day, row.currency, money)
    return rolled


def mend_day_totals(session: Session, day: date) -> int:
    """Makes everybody's day the sum of the events'; returns how many rows were something else. Reads the day."""
    return _count(session, _MEND_DAY, day=day)


def mend_day_revenue(session: Session, day: date) -> int:
    """The same for everybody's revenue."""
    return _count(session, _MEND_DAY_REVENUE, day=day)


def mend_months(session: Session, event_ids: Sequence[int] | None = None) -> int:
    """Makes the months of these events, or of all, the sums of their days; reads these."""
    return _count(session, _MEND_MONTHS, every=event_ids is None, events=list(event_ids or ()))


def mend_start_days(session: Session) -> int:
    """Makes the days on which events start the sums of the published events; reads all of them."""
    return _count(session, _MEND_START_DAYS)


def mend_activity_days(session: Session) -> int:
    """Makes the pairs of days what the users' days say; reads all of them."""
    return _count(session, _MEND_ACTIVITY_DAYS)


def _count(session: Session, statement: Any, **parameters: Any) -> int:  # noqa: ANN401 - a text clause
    return len(session.execute(statement, parameters).all())
