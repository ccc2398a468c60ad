"""What analytics answer: an event's figures, a period's, everybody's of all time. Roll-ups only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from sqlalchemy.orm import Session

from shared.domain.analytics import (
    PERIOD_DAYS_DEFAULT,
    PERIOD_DAYS_MAX,
    EventCount,
    Period,
    choose_candidates,
    split_months,
)
from shared.store.analytics import (
    Day,
    Engagement,
    Freshness,
    PopularEvent,
    Ranking,
    Utilization,
    list_days,
    list_event_days,
    list_leaders,
    list_most_of_all_time,
    list_popular,
    rank,
    read_freshness,
    read_totals,
    read_utilization,
)
from shared.store.analytics_tables import read_counts

# How many events a ranking shows.
SHOWN: Final = 10

# The leaders of one month or day that are looked at, and the events that are added up: some 2,000 rows read for the
# longest period, whatever it holds.
LEADERS: Final = 30
CANDIDATES_MAX: Final = 300


@dataclass(frozen=True, slots=True)
class Popular:
    """The first of a ranking; `exact` is False where an event that was not looked at might have had more."""

    events: Sequence[PopularEvent]
    exact: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodAnalytics:
    """Everybody's figures in a period; `total` adds its days up."""

    period: Period
    days: Mapping[date, Day]
    total: Day
    engagement: Engagement
    utilization: Utilization
    by_impressions: Popular
    by_bookings: Popular
    freshness: Freshness


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """Everybody's figures of all time, and of the last days; `upcoming` are events of the next year."""

    total: Day
    recent: Period
    days: Mapping[date, Day]
    engagement: Engagement
    upcoming: Utilization
    by_impressions: Popular
    by_bookings: Popular
    freshness: Freshness


@dataclass(frozen=True, slots=True, kw_only=True)
class EventStats:
    """An event's figures: of all time in `count` and `ever` (its money), of the period's days, and their total."""

    count: EventCount
    ever: Day
    period: Period
    days: Mapping[date, Day]
    total: Day
    freshness: Freshness


def read_period(session: Session, period: Period) -> PeriodAnalytics:
    """Everybody's figures in the period. Some 16 round trips and at most some thousand rows."""
    freshness = read_freshness(session)
    days, engagement = list_days(session, period)
    return PeriodAnalytics(
        period=period,
        days=days,
        total=_add_up(days),
        engagement=engagement,
        utilization=read_utilization(session, period),
        by_impressions=_find_popular(session, "impressions", period),
        by_bookings=_find_popular(session, "bookings", period),
        freshness=freshness,
    )


def read_dashboard(session: Session, today: date) -> Dashboard:
    """Everybody's figures as they are. Some 12 round trips."""
    freshness = read_freshness(session)
    recent = Period(today - timedelta(days=PERIOD_DAYS_DEFAULT - 1), today)
    days, engagement = list_days(session, recent)
    return Dashboard(
        total=read_totals(session),
        recent=recent,
        days=days,
        engagement=engagement,
        upcoming=read_utilization(session, Period(today, today + timedelta(days=PERIOD_DAYS_MAX - 1))),
        by_impressions=_list_popular_ever(session, "impressions"),
        by_bookings=_list_popular_ever(session, "bookings"),
        freshness=freshness,
    )


def read_event_stats(session: Session, event_id: int, period: Period) -> EventStats:
    """One event's figures. Five round trips; reads the event's own rows."""
    freshness = read_freshness(session)
    days, ever = list_event_days(session, event_id, period)
    counts = read_counts(session, [event_id])
    return EventStats(
        count=counts.get(event_id, EventCount(event_id=event_id)),
        ever=ever,
        period=period,
        days=days,
        total=_add_up(days),
        freshness=freshness,
    )


def _find_popular(session: Session, ranking: Ranking, period: Period) -> Popular:
    months, days = split_months(period)
    blocks = list_leaders(session, ranking, months=months, days=days, full=LEADERS)
    candidates, others_max = choose_candidates(blocks, SHOWN, CANDIDATES_MAX)
    ranked = rank(session, ranking, candidates, months=months, days=days, limit=SHOWN)
    found = list_popular(session, [event_id for event_id, _ in ranked], period)
    worst = ranked[-1][1] if len(ranked) == SHOWN else 0
    return Popular([found[event_id] for event_id, _ in ranked], exact=others_max <= worst)


def _list_popular_ever(session: Session, ranking: Ranking) -> Popular:
    event_ids = list_most_of_all_time(session, ranking, limit=SHOWN)
    found = list_popular(session, event_ids, None)
    return Popular([found[event_id] for event_id in event_ids])


def _add_up(days: Mapping[date, Day]) -> Day:
    total = Day()
    for day in days.values():
        total.add(day)
    return total
