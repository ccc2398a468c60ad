"""One event's figures on the wire, as who manages it sees them."""

from typing import Any

from marshmallow import fields

from api.fields import about
from api.schemas.analytics import (
    PeriodDocument,
    PeriodFigures,
    PeriodTotals,
    count_field,
    date_field,
    figures_document,
    number_field,
    period_document,
    revenue_document,
    revenue_field,
    totals_document,
)
from shared.domain.analytics import Money, percent
from shared.services.analytics_answers import EventStats
from shared.store.events import EventRow


class EventDayDocument(PeriodFigures):
    """An event's figures of one UTC day."""

    date = date_field("The day.", "2030-05-02")


class EventStatsDocument(PeriodDocument):
    """An event's figures: of all time, of a period, and of each of its days."""

    event_id = count_field("The event.", 7, minimum=1)
    total_bookings = count_field("Bookings ever made, cancelled ones too.", 120, minimum=0)
    live_bookings = count_field("Bookings made and not cancelled.", 114, minimum=0)
    tickets = count_field("Tickets in live bookings.", 142, minimum=0)
    capacity = count_field("Tickets there are.", 200, minimum=1)
    remaining = count_field("Tickets that a new booking could get now.", 58, minimum=0)
    utilization_percent = number_field("Of its tickets, those in live bookings now.", 71.0)
    revenue_minor = count_field("What live bookings are worth in the event's currency.", 355_000, minimum=0)
    currency = fields.String(required=True, metadata=about("The event's currency now.", "EUR"))
    revenue = revenue_field()
    cancellations = count_field("Bookings cancelled.", 6, minimum=0)
    cancellation_rate = number_field("Bookings cancelled ÷ bookings made; 0 when none was made.", 0.05)
    waitlisted = count_field("People ever put on its waitlist.", 3, minimum=0)
    impressions = count_field("How often it was ever looked at.", 1_730, minimum=0)
    uncounted_decisions = count_field("Rows of its ledger that are not in the figures yet.", 0, minimum=0)
    period = fields.Nested(PeriodTotals, required=True, metadata=about("The days below together."))
    daily = fields.List(
        fields.Nested(EventDayDocument),
        required=True,
        metadata=about("Each day from `from` to `to`, in order."),
    )


def event_stats_document(event: EventRow, stats: EventStats) -> dict[str, Any]:
    """The event's figures."""
    figures = stats.count.figures
    return {
        "event_id": event.id,
        **period_document(stats.period, stats.freshness),
        "total_bookings": figures.bookings,
        "live_bookings": figures.live_bookings,
        "tickets": figures.live_tickets,
        "capacity": event.capacity,
        "remaining": event.available,
        "utilization_percent": percent(event.booked, event.capacity),
        "revenue_minor": stats.ever.money.get(event.currency, Money()).revenue_minor,
        "currency": event.currency,
        "revenue": revenue_document(stats.ever.money),
        "cancellations": figures.cancellations,
        "cancellation_rate": figures.cancellation_rate,
        "waitlisted": figures.waitlisted,
        "impressions": event.impressions,
        "uncounted_decisions": max(event.last_number - stats.count.counted_number, 0),
        "period": totals_document(stats.total),
        "daily": [{"date": day.isoformat(), **figures_document(each)} for day, each in stats.days.items()],
    }
