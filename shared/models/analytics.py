"""Roll-ups: what the ledger says by event, day and month; written by the task worker only."""

from datetime import date
from decimal import Decimal

from sqlalchemy import Integer, Numeric
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class _Counted:
    """Five figures of ledger rows. Bookings made, and their tickets; bookings cancelled, and theirs; people who
    were put on the waitlist.
    """

    bookings: Mapped[int] = mapped_column(server_default="0")
    tickets: Mapped[int] = mapped_column(server_default="0")
    cancellations: Mapped[int] = mapped_column(server_default="0")
    tickets_cancelled: Mapped[int] = mapped_column(server_default="0")
    waitlisted: Mapped[int] = mapped_column(server_default="0")


class _Money:
    """Minor units of one currency."""

    booked_minor: Mapped[Decimal] = mapped_column(Numeric, server_default="0")
    cancelled_minor: Mapped[Decimal] = mapped_column(Numeric, server_default="0")


class EventTotals(_Counted, Base):
    """How far an event's ledger is counted, what came of it, and the event as its last `event_set` row has it."""

    __tablename__ = "event_totals"

    event_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    known_number: Mapped[int] = mapped_column(server_default="0")
    counted_number: Mapped[int] = mapped_column(server_default="0")
    starts_on: Mapped[date | None]
    published: Mapped[bool] = mapped_column(server_default="false")
    capacity: Mapped[int] = mapped_column(Integer, server_default="0")


class EventDay(_Counted, Base):
    """An event's figures of one UTC day."""

    __tablename__ = "event_days"

    event_id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    impressions: Mapped[int] = mapped_column(server_default="0")


class EventDayRevenue(_Money, Base):
    """What an event's bookings of one UTC day were worth, and those cancelled on it."""

    __tablename__ = "event_day_revenue"

    event_id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)


class EventMonth(Base):
    """What an event is ranked by, of one calendar month."""

    __tablename__ = "event_months"

    event_id: Mapped[int] = mapped_column(primary_key=True)
    month: Mapped[date] = mapped_column(primary_key=True)
    bookings: Mapped[int] = mapped_column(server_default="0")
    impressions: Mapped[int] = mapped_column(server_default="0")


class DayTotals(_Counted, Base):
    """Everybody's figures of one UTC day."""

    __tablename__ = "day_totals"

    day: Mapped[date] = mapped_column(primary_key=True)
    impressions: Mapped[int] = mapped_column(server_default="0")
    registrations: Mapped[int] = mapped_column(server_default="0")


class DayRevenue(_Money, Base):
    """What all bookings of one UTC day were worth, and those cancelled on it."""

    __tablename__ = "day_revenue"

    day: Mapped[date] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)


class StartDay(Base):
    """Published events that start on a UTC day: how many, their tickets, and those of them that are booked."""

    __tablename__ = "start_days"

    day: Mapped[date] = mapped_column(primary_key=True)
    events: Mapped[int] = mapped_column(server_default="0")
    capacity: Mapped[int] = mapped_column(server_default="0")
    tickets: Mapped[int] = mapped_column(server_default="0")


class UserDay(Base):
    """Somebody asked for something that was decided on that UTC day."""

    __tablename__ = "user_days"

    user_id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)


class ActivityDay(Base):
    """How many users were active on `day` and, before that, last on `previous_day` (`-infinity`: never; the first of
    January of the year 1: more than 366 days before).

    Counts people in any period without reading them: of those active in it, each has exactly one day there whose
    previous one lies before it.
    """

    __tablename__ = "activity_days"

    day: Mapped[date] = mapped_column(primary_key=True)
    previous_day: Mapped[date] = mapped_column(primary_key=True)
    users: Mapped[int] = mapped_column(server_default="0")


class AnalyticsState(Base):
    """The one row: how far what was there before the roll-ups is counted."""

    __tablename__ = "analytics_state"

    id: Mapped[bool] = mapped_column(primary_key=True, server_default="true")
    walked_to: Mapped[int] = mapped_column(server_default="0")
    history_counted: Mapped[bool] = mapped_column(server_default="false")
    registrations_to: Mapped[date | None]
