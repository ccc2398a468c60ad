"""Analytics in tests: everything computed naively from ledger, bookings and looks, and what the roll-ups say."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, select, text

from shared.db import transaction
from shared.models import Booking, Decision, OutboxMessage
from shared.services.analytics import roll_up_messages
from shared.services.outbox import TOPICS
from shared.store.outbox import delete_messages, take_messages

NEVER = "-infinity"
LONG_AGO = "0001-01-01"
FIGURES = ("bookings", "tickets", "cancellations", "tickets_cancelled", "waitlisted", "impressions")
OWN = {"book", "cancel", "join_waitlist", "leave_waitlist", "accept_offer", "decline_offer"}
TABLES: dict[str, tuple[str, ...]] = {
    "event_totals": ("event_id",),
    "event_days": ("event_id", "day"),
    "event_day_revenue": ("event_id", "day", "currency"),
    "event_months": ("event_id", "month"),
    "day_totals": ("day",),
    "day_revenue": ("day", "currency"),
    "start_days": ("day",),
    "user_days": ("user_id", "day"),
    "activity_days": ("day", "previous_day"),
}


def tell(engine: Engine, event_id: int, up_to: int, *, after: int = 0) -> None:
    """A message that says that these rows of the ledger are new."""
    with transaction(engine) as session:
        session.add(OutboxMessage(topic="ledger", event_id=event_id, from_number=after + 1, to_number=up_to))


def drain(engine: Engine, ids: Iterable[int] | None = None) -> None:
    """What draining does, with these messages in this order, or with all that lie there."""
    with transaction(engine) as session:
        found = {message.id: message for message in take_messages(session, TOPICS, limit=10_000)}
        messages = list(found.values()) if ids is None else [found[message_id] for message_id in ids]
        roll_up_messages(session, messages)
        delete_messages(session, [message.id for message in messages])


def rolled(engine: Engine, *names: str) -> dict[str, dict[Any, dict[str, Any]]]:
    """The tables (all, or those named) by key, without rows of zeros and without what is only bookkeeping."""
    found: dict[str, dict[Any, dict[str, Any]]] = {}
    with transaction(engine) as session:
        for name in names or TABLES:
            rows = {}
            for (record,) in session.execute(text(f"select to_jsonb(t) from {name} t")):
                key = tuple(record.pop(column) for column in TABLES[name])
                for column in ("registrations", "known_number"):
                    record.pop(column, None)
                if name in ("user_days", "event_totals") or any(record.values()):
                    rows[key] = record
            found[name] = rows
    return found


def naive(
    engine: Engine, looks: Counter[tuple[int, str]] | None = None
) -> dict[str, dict[Any, dict[str, Any]]]:
    """What the tables should say, counted one ledger row at a time; `looks` by event and day."""
    with transaction(engine) as session:
        decisions = list(session.scalars(select(Decision).order_by(Decision.event_id, Decision.number)))
        bookings = {booking.id: booking for booking in session.scalars(select(Booking))}
    counts: dict[tuple[int, str], Counter[str]] = defaultdict(Counter)
    money: dict[tuple[int, str, str], Counter[str]] = defaultdict(Counter)
    settings: dict[int, dict[str, Any]] = {}
    numbers: dict[int, int] = {}
    active: dict[int, set[str]] = defaultdict(set)
    for row in decisions:
        key = (row.event_id, day_of(row.decided_at))
        made, cancelled = changes_of(row)
        for ids, verb, count, tickets in (
            (made, "booked", "bookings", "tickets"),
            (cancelled, "cancelled", "cancellations", "tickets_cancelled"),
        ):
            for booking in (bookings[booking_id] for booking_id in ids):
                counts[key].update({count: 1, tickets: booking.tickets})
                money[*key, booking.currency][f"{verb}_minor"] += booking.tickets * booking.price_minor
        counts[key]["waitlisted"] += row.outcome == "waitlisted"
        numbers[row.event_id] = row.number
        if row.kind == "event_set":
            settings[row.event_id] = {
                "starts_on": day_of(datetime.fromisoformat(row.facts["starts_at"])),
                "published": row.facts["status"] == "scheduled" and not row.facts["deleted"],
                "capacity": row.facts["capacity"],
            }
        if row.kind in OWN and row.arrival is not None and row.facts.get("acting_as") != "account":
            active[row.user_id].add(key[1])
    for key, count in (looks or Counter()).items():
        counts[key]["impressions"] += count
    return _tables(counts, money, settings, numbers, active)


def _tables(counts, money, settings, numbers, active) -> dict[str, dict[Any, dict[str, Any]]]:
    totals, months, days, revenue, starts = (defaultdict(Counter) for _ in range(5))
    for (event_id, day), figures in counts.items():
        totals[event_id].update(figures)
        months[event_id, f"{day[:7]}-01"].update({n: figures[n] for n in ("bookings", "impressions")})
        days[day].update(figures)
    for (_, day, currency), amounts in money.items():
        revenue[day, currency].update(amounts)
    for event_id, each in settings.items():
        if each["published"]:
            live = totals[event_id]["tickets"] - totals[event_id]["tickets_cancelled"]
            starts[each["starts_on"]].update({"events": 1, "capacity": each["capacity"], "tickets": live})
    pairs: Counter[tuple[str, str]] = Counter()
    for user_days in active.values():
        ordered = sorted(user_days)
        pairs.update(
            (day, kept(day, previous)) for day, previous in zip(ordered, [NEVER, *ordered], strict=False)
        )
    minor = ("booked_minor", "cancelled_minor")
    return {
        "event_totals": {
            (event_id,): {
                "counted_number": number,
                **settings[event_id],
                **{name: totals[event_id][name] for name in FIGURES[:-1]},
            }
            for event_id, number in numbers.items()
        },
        "event_days": _rows(counts, FIGURES),
        "event_day_revenue": _rows(money, minor),
        "event_months": _rows(months, ("bookings", "impressions")),
        "day_totals": _rows({(day,): value for day, value in days.items()}, FIGURES),
        "day_revenue": _rows(revenue, minor),
        "start_days": _rows(
            {(day,): value for day, value in starts.items()}, ("events", "capacity", "tickets")
        ),
        "user_days": {(user_id, day): {} for user_id, user_days in active.items() for day in user_days},
        "activity_days": _rows(pairs and {pair: Counter(users=n) for pair, n in pairs.items()}, ("users",)),
    }


def kept(day: str, previous: str) -> str:
    """The day before as it is kept: beyond what any period spans they are all the same."""
    far = previous != NEVER and date.fromisoformat(day) - date.fromisoformat(previous) > timedelta(days=366)
    return LONG_AGO if far else previous


def _rows(counted: Any, names: tuple[str, ...]) -> dict[Any, dict[str, int]]:
    rows = {key: {name: value[name] for name in names} for key, value in counted.items()}
    return {key: row for key, row in rows.items() if any(row.values())}


def changes_of(row: Decision) -> tuple[list[Any], list[Any]]:
    """Ids of the bookings that the row made, and of those that it cancelled."""
    if row.kind == "call_off_slice":
        return [], [uuid.UUID(each) for each in row.facts["cancelled"]]
    made = [row.booking_id] if row.outcome == "confirmed" else []
    return made, [row.booking_id] if row.outcome == "cancelled" else []


def day_of(instant: datetime) -> str:
    """The UTC day."""
    return instant.astimezone(UTC).date().isoformat()


def today(engine: Engine) -> date:
    """The database's day, UTC."""
    with transaction(engine) as session:
        now: datetime = session.execute(text("select now()")).scalar_one()
    return now.astimezone(UTC).date()


def days_ago(engine: Engine, days: int) -> date:
    """So many days before it."""
    return today(engine) - timedelta(days=days)
