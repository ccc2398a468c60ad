"""Reading ledger rows for the roll-ups: figures by event and day, settings, who was active."""

from collections.abc import Sequence
from datetime import UTC
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.domain.analytics import OWN_KINDS, EventSettings, Figures, Money, Rolled, Span

# Until somebody has analysed the tables the planner guesses, and may read one through. `offset 0` keeps each
# look-up what it is, and no statement here is worth compiling.
_PLAN: Final = text("select set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)")

_SPANS: Final = """
    unnest(cast(:events as bigint[]), cast(:after as bigint[]), cast(:up_to as bigint[]))
        s (event_id, after, up_to)
"""
_OF_SPAN: Final = "d.event_id = s.event_id and d.number > s.after and d.number <= s.up_to"

# A ledger that somebody spoilt is the audit's business: facts that are none are passed over, and stop nobody.
_UUID: Final = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_INSTANT: Final = r"^\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d\.\d{6}Z$"

# Price and currency are the booking's own: an event may change its price, a booking keeps the one it was made at.
_FIGURES: Final = text(f"""
with fresh as (
    select s.event_id, d.* from {_SPANS} cross join lateral (
        select (d.decided_at at time zone 'UTC')::date as day, d.outcome, d.kind, d.booking_id, d.facts
        from decisions d
        where {_OF_SPAN} and (d.outcome in ('confirmed', 'cancelled', 'waitlisted') or d.kind = 'call_off_slice')
        offset 0
    ) d
), changes as (
    select event_id, day, booking_id, outcome = 'confirmed' as made from fresh
    where outcome in ('confirmed', 'cancelled')
    union all
    select event_id, day, case when cancelled ~ '{_UUID}' then cast(cancelled as uuid) end, false
    from fresh, jsonb_array_elements_text(
        case jsonb_typeof(facts -> 'cancelled') when 'array' then facts -> 'cancelled' else '[]' end
    ) cancelled where kind = 'call_off_slice'
)
select c.event_id, c.day, b.currency,
    count(*) filter (where made), coalesce(sum(b.tickets) filter (where made), 0),
    count(*) filter (where not made), coalesce(sum(b.tickets) filter (where not made), 0),
    0,
    coalesce(sum(b.tickets * cast(b.price_minor as numeric)) filter (where made), 0),
    coalesce(sum(b.tickets * cast(b.price_minor as numeric)) filter (where not made), 0)
from changes c cross join lateral (
    select tickets, price_minor, currency from bookings where id = c.booking_id offset 0
) b
group by c.event_id, c.day, b.currency
union all
select event_id, day, null, 0, 0, 0, 0, count(*), 0, 0 from fresh where outcome = 'waitlisted' group by event_id, day
""")  # noqa: S608 - constants only

_SETTINGS: Final = text(f"""
select distinct on (s.event_id) s.event_id, cast(d.facts ->> 'starts_at' as timestamptz),
    d.facts ->> 'status' = 'scheduled' and d.facts -> 'deleted' = 'false', cast(d.facts ->> 'capacity' as integer)
from {_SPANS} cross join lateral (
    select d.number, d.facts from decisions d
    where {_OF_SPAN} and d.kind = 'event_set' and d.facts ->> 'starts_at' ~ '{_INSTANT}'
        and d.facts ->> 'capacity' ~ '^[0-9]{{1,8}}$'
    offset 0
) d
order by s.event_id, d.number desc
""")  # noqa: S608 - constants only

_ACTIVE: Final = f"""
    select distinct d.user_id, d.day from {_SPANS} cross join lateral (
        select d.user_id, (d.decided_at at time zone 'UTC')::date as day from decisions d
        where {_OF_SPAN} and d.arrival is not null and d.user_id is not null and d.kind = any(:kinds)
            and d.facts ->> 'acting_as' is distinct from 'account'
        offset 0
    ) d
"""  # noqa: S608 - constants only
_ACTIVE_OF_USERS: Final = """
    select distinct d.user_id, (d.decided_at at time zone 'UTC')::date as day from decisions d
    where d.user_id = any(:users) and d.arrival is not null and d.kind = any(:kinds)
        and d.facts ->> 'acting_as' is distinct from 'account'
"""

# No answer spans more than 366 days, so a day further back than that lies before any period, whichever it is: one row
# for all of them, however old an installation becomes.
KEPT_PAIR: Final = """
    case when previous_day > '-infinity' and previous_day < day - 366 then date '0001-01-01' else previous_day end
"""

# A new day stands between two others, or at an end: the pair around it is taken back and two are added. `before` is
# what was there from the last day before the first new one on: what a statement inserts it does not see itself.
_ADD_ACTIVE: Final = """
with fresh as ({fresh}), added as (
    insert into user_days (user_id, day) select user_id, day from fresh order by user_id, day
    on conflict do nothing returning user_id, day
), touched as (
    select user_id, min(day) as first from added group by user_id
), before as (
    select t.user_id, d.day, d.day < t.first as known from touched t cross join lateral (
        select u.day from user_days u where u.user_id = t.user_id and u.day >= coalesce((
            select max(p.day) from user_days p where p.user_id = t.user_id and p.day < t.first), t.first)
        offset 0
    ) d
), pairs as (
    select day, lag(day, 1, date '-infinity') over (partition by user_id order by day) as previous_day,
        -1 as users, known from before
    union all
    select day, lag(day, 1, date '-infinity') over (partition by user_id order by day), 1, known
    from (select user_id, day, known from before union all select user_id, day, false from added) after
)
insert into activity_days as a (day, previous_day, users)
select day, {kept}, sum(users) from pairs where not known
group by 1, 2 having sum(users) <> 0 order by 1, 2
on conflict (day, previous_day) do update set users = a.users + excluded.users
returning day
"""
_ADD_ACTIVE_OF_SPANS: Final = text(_ADD_ACTIVE.format(fresh=_ACTIVE, kept=KEPT_PAIR))
_ADD_ACTIVE_OF_USERS: Final = text(_ADD_ACTIVE.format(fresh=_ACTIVE_OF_USERS, kept=KEPT_PAIR))

_ROLLED_OF_USERS: Final = "select user_id, day from user_days where user_id = any(:users)"
_DIFFERING_USERS: Final = text(f"""
with ledger as ({_ACTIVE_OF_USERS}), rolled as ({_ROLLED_OF_USERS})
select user_id from (select * from ledger except select * from rolled) missing
union select user_id from (select * from rolled except select * from ledger) surplus
""")  # noqa: S608 - constants only

_DROP_ACTIVE: Final = text(f"""
with gone as (
    delete from user_days where user_id = any(:users) returning user_id, day
), pairs as (
    select day, lag(day, 1, date '-infinity') over (partition by user_id order by day) as previous_day from gone
)
insert into activity_days as a (day, previous_day, users)
select day, {KEPT_PAIR}, -count(*) from pairs group by 1, 2 order by 1, 2
on conflict (day, previous_day) do update set users = a.users + excluded.users
""")  # noqa: S608 - constants only


def plan_by_index(session: Session) -> None:
    """Until the transaction ends no table is read through, and nothing is compiled. One round trip."""
    session.execute(_PLAN)


def read_ledger(session: Session, spans: Sequence[Span]) -> Rolled:
    """What the spans' rows came to. Two round trips; reads these rows, and the bookings that they name."""
    rolled = Rolled()
    parameters = _parameters(spans)
    for event_id, day, currency, *counts, booked, cancelled in session.execute(_FIGURES, parameters):
        bookings, tickets, cancellations, tickets_cancelled, waitlisted = map(int, counts)
        figures = Figures(
            bookings=bookings,
            tickets=tickets,
            cancellations=cancellations,
            tickets_cancelled=tickets_cancelled,
            waitlisted=waitlisted,
        )
        rolled.add_day(event_id, day, figures)
        money = Money(booked_minor=int(booked), cancelled_minor=int(cancelled))
        if money:
            rolled.add_money(event_id, day, currency, money)
    for event_id, starts_at, published, capacity in session.execute(_SETTINGS, parameters):
        starts_on = starts_at.astimezone(UTC).date()
        rolled.settings[event_id] = EventSettings(starts_on, bool(published), capacity)
    return rolled


def add_activity(session: Session, spans: Sequence[Span]) -> int:
    """Notes who was active in the spans' rows, once a user and day, however often it is said; returns how many pairs
    of days have changed. One round trip.
    """
    pairs = session.execute(_ADD_ACTIVE_OF_SPANS, {**_parameters(spans), "kinds": list(OWN_KINDS)})
    return len(pairs.all())


def recount_activity_of(session: Session, user_ids: Sequence[int]) -> int:
    """Makes the users' days what the ledger says, rows that are not counted yet included; returns of how many users
    they were something else. One round trip, three when there are any; reads all ledger rows of these users.
    """
    parameters = {"users": list(user_ids), "kinds": list(OWN_KINDS)}
    differing = list(session.scalars(_DIFFERING_USERS, parameters))
    if differing:
        session.execute(_DROP_ACTIVE, {"users": differing})
        session.execute(_ADD_ACTIVE_OF_USERS, {"users": differing, "kinds": list(OWN_KINDS)})
    return len(differing)


def _parameters(spans: Sequence[Span]) -> dict[str, Any]:
    return {
        "events": [span.event_id for span in spans],
        "after": [span.after for span in spans],
        "up_to": [span.up_to for span in spans],
    }
