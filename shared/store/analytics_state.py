"""What is still to be counted: ledgers that are behind, events from before the roll-ups, registrations."""

from typing import Final

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from shared.models import AnalyticsState, Event, EventTotals

_WALK: Final = text("""
with state as (select walked_to from analytics_state),
heads as (
    select id, last_number from events where id > (select walked_to from state) order by id limit :limit
), moved as (
    update analytics_state set walked_to = (select max(id) from heads) where exists (select from heads)
)
select id, last_number from heads
""")

_REGISTRATIONS_DUE: Final = text("""
select (now() at time zone 'UTC')::date,
    coalesce((registrations_to - 1)::timestamp at time zone 'UTC', '-infinity')::text
from analytics_state
""")
_REGISTRATIONS: Final = text("""
insert into day_totals as t (day, registrations)
select (created_at at time zone 'UTC')::date as day, count(*) from users
where created_at >= cast(:since as timestamptz) group by 1 order by 1
on conflict (day) do update set registrations = excluded.registrations
where t.registrations <> excluded.registrations
""")


def list_behind(session: Session, *, limit: int) -> list[int]:
    """Events with ledger rows that are known and not counted, most of them first. One round trip, an index of just
    those.
    """
    backlog = EventTotals.known_number - EventTotals.counted_number
    query = select(EventTotals.event_id).where(EventTotals.counted_number < EventTotals.known_number)
    return list(session.scalars(query.order_by(backlog.desc()).limit(limit)))


def walk_heads(session: Session, *, limit: int) -> dict[int, int]:
    """Event → last number of its ledger, of the next events by id that the walk had not seen; moves the walk on. One
    round trip.
    """
    return {row[0]: row[1] for row in session.execute(_WALK, {"limit": limit})}


def is_history_counted(session: Session) -> bool:
    """Whether everything decided before there were roll-ups is in them. One row."""
    return bool(session.scalar(select(AnalyticsState.history_counted)))


def mark_history_counted(session: Session) -> None:
    """Says so."""
    session.execute(update(AnalyticsState).values(history_counted=True))


def list_heads_after(session: Session, event_id: int, *, limit: int) -> dict[int, int]:
    """Event → last number of its ledger, of the next events by id. One round trip."""
    query = select(Event.id, Event.last_number).where(Event.id > event_id).order_by(Event.id).limit(limit)
    return {row[0]: row[1] for row in session.execute(query)}


def count_registrations(session: Session) -> None:
    """Registrations of every day from the one before the last that was counted: somebody's may have begun before
    midnight and ended after it. Three round trips; an index, because the planner sees the instant.
    """
    today, since = session.execute(_REGISTRATIONS_DUE).one()
    session.execute(_REGISTRATIONS, {"since": since})
    state = update(AnalyticsState).where(AnalyticsState.registrations_to.is_distinct_from(today))
    session.execute(state.values(registrations_to=today))


def count_registrations_again(session: Session) -> None:
    """Lets the next count begin at the first user."""
    session.execute(update(AnalyticsState).values(registrations_to=None))
