"""Analytics on the wire: the period that is asked for, days, totals, rankings, people."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from marshmallow import fields, validate

from api.fields import InstantText, UtcDay, about
from api.parsing import StrictBoolean, StrictInteger, StrictSchema
from shared.clock import rfc3339
from shared.domain.analytics import PERIOD_DAYS_MAX, Money, Period, make_period, percent
from shared.errors import InvalidInputError
from shared.services.analytics_answers import Dashboard, PeriodAnalytics, Popular
from shared.store.analytics import Day, Engagement, Freshness, PopularEvent, Utilization

_DATE: Final = r"^\d{4}-\d\d-\d\d$"


class PeriodSchema(StrictSchema):
    """Query of analytics: UTC days, both ends included."""

    first = UtcDay(
        data_key="from",
        metadata=about("First UTC day, as a date or an instant in it; 30 days up to `to` unless given."),
    )
    last = UtcDay(
        data_key="to", metadata=about("Last UTC day, as a date or an instant in it; today unless given.")
    )


def load_period(query: Mapping[str, date], today: date) -> Period:
    """The days that are asked for; raises InvalidInputError when they are none, or more than an answer may span."""
    period = make_period(query.get("first"), query.get("last"), today)
    if period.length < 1:
        raise InvalidInputError([{"pointer": "?to", "detail": "Must not be before `from`."}])
    if period.length > PERIOD_DAYS_MAX:
        detail = f"From `from` to `to` are at most {PERIOD_DAYS_MAX} days."
        raise InvalidInputError([{"pointer": "?to", "detail": detail}])
    return period


def count_field(description: str, example: int, **options: Any) -> StrictInteger:  # noqa: ANN401 - the field's own
    """A figure."""
    return StrictInteger(required=True, metadata=about(description, example), **options)


def date_field(description: str, example: str, **options: Any) -> fields.String:  # noqa: ANN401 - the field's own
    """A UTC day in an answer."""
    return fields.String(
        required=True,
        validate=validate.Regexp(_DATE),
        metadata={"format": "date", **about(description, example)},
        **options,
    )


def number_field(description: str, example: float) -> fields.Float:
    """A rate or a percentage."""
    return fields.Float(required=True, metadata=about(description, example))


class RevenueDocument(StrictSchema):
    """What live bookings are worth in one currency."""

    currency = fields.String(required=True, metadata=about("ISO 4217 code.", "EUR"))
    revenue_minor = count_field("Bookings made, less bookings cancelled, in minor units.", 125_000)


class FreshDocument(StrictSchema):
    """How far the figures go."""

    as_of = InstantText(
        required=True,
        metadata=about("Everything decided until then is counted.", "2030-05-02T10:00:00.000000Z"),
    )
    complete = StrictBoolean(
        required=True,
        metadata=about("False while what was decided by an earlier release is being counted.", example=True),
    )


def revenue_field() -> "fields.List[dict[str, Any]]":
    """By currency: different ones are never added up."""
    return fields.List(
        fields.Nested(RevenueDocument),
        required=True,
        metadata=about("By currency; a free booking has none."),
    )


class PeriodFigures(StrictSchema):
    """Figures of a day or of several."""

    bookings = count_field("Bookings made.", 120, minimum=0)
    tickets = count_field("Tickets of bookings made, less those of bookings cancelled.", 251)
    cancellations = count_field("Bookings cancelled, whenever they were made.", 6, minimum=0)
    waitlisted = count_field("People put on a waitlist.", 3, minimum=0)
    impressions = count_field("Looks at events.", 1_730, minimum=0)
    revenue = revenue_field()


class DayDocument(PeriodFigures):
    """Everybody's figures of one UTC day."""

    date = date_field("The day.", "2030-05-02")
    active_users = count_field("People with a request that was decided on that day.", 210, minimum=0)
    new_users = count_field("People who registered.", 14, minimum=0)


class PeriodTotals(PeriodFigures):
    """Everybody's figures of a period, or of all time."""

    live_bookings = count_field("Bookings made, less bookings cancelled.", 114)
    cancellation_rate = number_field(
        "Bookings cancelled ÷ bookings made; 0 when none was made. Above 1 in a period when people cancel what they "
        "booked before it.",
        0.05,
    )


class EngagementDocument(StrictSchema):
    """People in a period."""

    active = count_field("People with a request of their own that was decided in it.", 1_210, minimum=0)
    new = count_field("People who registered in it.", 230, minimum=0)
    returning = count_field("Active people who had been active before it.", 640, minimum=0)


class UtilizationDocument(StrictSchema):
    """Published events that start in a period."""

    events = count_field("How many.", 18, minimum=0)
    capacity = count_field("Tickets that they have.", 3_600, minimum=0)
    tickets = count_field("Tickets in live bookings.", 2_520, minimum=0)
    utilization_percent = number_field("Of all their tickets, two digits.", 70.0)


class PopularEventDocument(StrictSchema):
    """An event in a ranking."""

    id = count_field("The event's id.", 7, minimum=1)
    title = fields.String(required=True, metadata=about("What it is called.", "Autumn Jazz Night"))
    starts_at = InstantText(required=True, metadata=about("When it starts.", "2030-06-01T18:00:00.000000Z"))
    bookings = count_field("Bookings made.", 96, minimum=0)
    tickets = count_field("Tickets of bookings made, less those of bookings cancelled.", 142)
    impressions = count_field("Looks at it.", 1_730, minimum=0)
    capacity = count_field("Tickets there are now.", 200, minimum=1)
    utilization_percent = number_field("Of its tickets, those booked now.", 71.0)


class RankingDocument(StrictSchema):
    """The first ten."""

    events = fields.List(fields.Nested(PopularEventDocument), required=True, metadata=about("Most first."))
    exact = StrictBoolean(
        required=True,
        metadata=about(
            "False where, in a long period, an event that led on no day and in no month might have had more.",
            example=True,
        ),
    )


class PopularEventsDocument(StrictSchema):
    """Two rankings."""

    by_impressions = fields.Nested(RankingDocument, required=True, metadata=about("By looks."))
    by_bookings = fields.Nested(RankingDocument, required=True, metadata=about("By bookings made."))


class PeriodDocument(FreshDocument):
    """The days that were asked for."""

    first = date_field("The first day.", "2030-04-03", data_key="from")
    last = date_field("The last day.", "2030-05-02", data_key="to")


class AnalyticsDocument(PeriodDocument):
    """Everybody's figures in a period."""

    totals = fields.Nested(PeriodTotals, required=True, metadata=about("All its days together."))
    users = fields.Nested(EngagementDocument, required=True, metadata=about("Its people."))
    utilization = fields.Nested(
        UtilizationDocument, required=True, metadata=about("Published events that start in it.")
    )
    popular_events = fields.Nested(
        PopularEventsDocument, required=True, metadata=about("By what they had in it.")
    )
    daily = fields.List(
        fields.Nested(DayDocument), required=True, metadata=about("Each of its days, in order.")
    )


class AllTimeTotals(PeriodTotals):
    """Everybody's figures of all time."""

    users = count_field("People who ever registered.", 1_204, minimum=0)


class DashboardDocument(FreshDocument):
    """Everybody's figures as they are now."""

    totals = fields.Nested(AllTimeTotals, required=True, metadata=about("Of all time."))
    today = fields.Nested(DayDocument, required=True, metadata=about("The UTC day that is not over yet."))
    upcoming = fields.Nested(
        UtilizationDocument,
        required=True,
        metadata=about("Published events that start today or within a year."),
    )
    popular_events = fields.Nested(PopularEventsDocument, required=True, metadata=about("Of all time."))
    daily = fields.List(
        fields.Nested(DayDocument), required=True, metadata=about("Each of the last 30 days, today included.")
    )
    users = fields.Nested(EngagementDocument, required=True, metadata=about("People in these 30 days."))


def analytics_document(analytics: PeriodAnalytics) -> dict[str, Any]:
    """Everybody's figures in a period."""
    return {
        **period_document(analytics.period, analytics.freshness),
        "totals": totals_document(analytics.total),
        "users": _engagement(analytics.engagement, analytics.total),
        "utilization": _utilization(analytics.utilization),
        "popular_events": _popular(analytics.by_impressions, analytics.by_bookings),
        "daily": _daily(analytics.days),
    }


def dashboard_document(dashboard: Dashboard) -> dict[str, Any]:
    """Everybody's figures as they are now."""
    daily = _daily(dashboard.days)
    recent = sum(day.new_users for day in dashboard.days.values())
    return {
        **_fresh(dashboard.freshness),
        "totals": {**totals_document(dashboard.total), "users": dashboard.total.new_users},
        "today": daily[-1],
        "upcoming": _utilization(dashboard.upcoming),
        "popular_events": _popular(dashboard.by_impressions, dashboard.by_bookings),
        "daily": daily,
        "users": _engagement(dashboard.engagement, Day(new_users=recent)),
    }


def period_document(period: Period, freshness: Freshness) -> dict[str, Any]:
    """Which days, and how far they are counted."""
    return {"from": period.first.isoformat(), "to": period.last.isoformat(), **_fresh(freshness)}


def figures_document(day: Day) -> dict[str, Any]:
    """Figures of a day or of several."""
    figures = day.figures
    return {
        "bookings": figures.bookings,
        "tickets": figures.live_tickets,
        "cancellations": figures.cancellations,
        "waitlisted": figures.waitlisted,
        "impressions": figures.impressions,
        "revenue": revenue_document(day.money),
    }


def totals_document(total: Day) -> dict[str, Any]:
    """Figures of several days, with what is derived from them."""
    return {
        **figures_document(total),
        "live_bookings": total.figures.live_bookings,
        "cancellation_rate": total.figures.cancellation_rate,
    }


def revenue_document(money: Mapping[str, Money]) -> list[dict[str, Any]]:
    """By currency, in alphabetical order."""
    return [
        {"currency": currency, "revenue_minor": each.revenue_minor}
        for currency, each in sorted(money.items())
    ]


def _fresh(freshness: Freshness) -> dict[str, Any]:
    return {"as_of": rfc3339(freshness.as_of), "complete": freshness.complete}


def _daily(days: Mapping[date, Day]) -> list[dict[str, Any]]:
    return [
        {
            "date": date_.isoformat(),
            **figures_document(day),
            "active_users": day.active_users,
            "new_users": day.new_users,
        }
        for date_, day in days.items()
    ]


def _engagement(engagement: Engagement, total: Day) -> dict[str, int]:
    return {"active": engagement.active, "new": total.new_users, "returning": engagement.returning}


def _utilization(utilization: Utilization) -> dict[str, Any]:
    return {
        "events": utilization.events,
        "capacity": utilization.capacity,
        "tickets": utilization.tickets,
        "utilization_percent": utilization.percent,
    }


def _popular(by_impressions: Popular, by_bookings: Popular) -> dict[str, Any]:
    return {"by_impressions": _ranking(by_impressions), "by_bookings": _ranking(by_bookings)}


def _ranking(popular: Popular) -> dict[str, Any]:
    return {"events": [_popular_event(event) for event in popular.events], "exact": popular.exact}


def _popular_event(event: PopularEvent) -> dict[str, Any]:
    return {
        "id": event.id,
        "title": event.title,
        "starts_at": rfc3339(event.starts_at),
        "bookings": event.bookings,
        "tickets": event.tickets,
        "impressions": event.impressions,
        "capacity": event.capacity,
        "utilization_percent": percent(event.booked, event.capacity),
    }
