"""What analytics count, in which words, over which days. docs/analytics.md defines each figure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from typing import Final

# A year and a leap day: what one answer may span.
PERIOD_DAYS_MAX: Final = 366
PERIOD_DAYS_DEFAULT: Final = 30

# What people ask for themselves. Requests that the control plane or the schedule makes are nobody's activity.
OWN_KINDS: Final = ("book", "cancel", "join_waitlist", "leave_waitlist", "accept_offer", "decline_offer")

_ONE_DAY: Final = timedelta(days=1)


@dataclass(slots=True, kw_only=True)
class Figures:
    """Of a day, of an event, of both or of everything. `tickets` are those of bookings made, whatever became of
    them; `waitlisted` counts people who were put on a waitlist.
    """

    bookings: int = 0
    tickets: int = 0
    cancellations: int = 0
    tickets_cancelled: int = 0
    waitlisted: int = 0
    impressions: int = 0

    def add(self, other: "Figures", sign: int = 1) -> None:
        """Adds the other's figures, or takes them away."""
        for name in FIGURES:
            setattr(self, name, getattr(self, name) + sign * getattr(other, name))

    @property
    def live_bookings(self) -> int:
        """Made and not cancelled; of a day less than 0 when more were cancelled on it than made."""
        return self.bookings - self.cancellations

    @property
    def live_tickets(self) -> int:
        """Theirs."""
        return self.tickets - self.tickets_cancelled

    @property
    def cancellation_rate(self) -> float:
        """Bookings cancelled ÷ bookings made; 0 when none was made."""
        return ratio(self.cancellations, self.bookings)

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in FIGURES)


FIGURES: Final = tuple(each.name for each in fields(Figures))


@dataclass(slots=True, kw_only=True)
class Money:
    """Minor units of one currency: of bookings made, and of bookings cancelled."""

    booked_minor: int = 0
    cancelled_minor: int = 0

    def add(self, other: "Money", sign: int = 1) -> None:
        """Adds the other's, or takes it away."""
        self.booked_minor += sign * other.booked_minor
        self.cancelled_minor += sign * other.cancelled_minor

    @property
    def revenue_minor(self) -> int:
        """What is left of it; of a day less than 0 when more was cancelled on it than booked."""
        return self.booked_minor - self.cancelled_minor

    def __bool__(self) -> bool:
        return bool(self.booked_minor or self.cancelled_minor)


@dataclass(frozen=True, slots=True)
class EventSettings:
    """What the last `event_set` row says, as far as analytics care."""

    starts_on: date
    published: bool
    capacity: int


@dataclass(slots=True)
class Rolled:
    """What ledger rows and looks came to: figures by event and day, money by event, day and currency, and each
    event's last settings.
    """

    days: dict[tuple[int, date], Figures] = field(default_factory=dict)
    money: dict[tuple[int, date, str], Money] = field(default_factory=dict)
    settings: dict[int, EventSettings] = field(default_factory=dict)

    def add_day(self, event_id: int, day: date, figures: Figures, sign: int = 1) -> None:
        """Adds to an event's day."""
        self.days.setdefault((event_id, day), Figures()).add(figures, sign)

    def add_money(self, event_id: int, day: date, currency: str, money: Money, sign: int = 1) -> None:
        """Adds to an event's day in one currency."""
        self.money.setdefault((event_id, day, currency), Money()).add(money, sign)

    def add(self, other: "Rolled", sign: int = 1) -> None:
        """Adds what later rows of the same ledgers came to, or takes it away; settings stay the latest."""
        for (event_id, day), figures in other.days.items():
            self.add_day(event_id, day, figures, sign)
        for (event_id, day, currency), money in other.money.items():
            self.add_money(event_id, day, currency, money, sign)
        self.settings.update(other.settings)

    def totals(self) -> dict[int, Figures]:
        """By event."""
        totals: dict[int, Figures] = {}
        for (event_id, _), figures in self.days.items():
            totals.setdefault(event_id, Figures()).add(figures)
        return totals


@dataclass(slots=True, kw_only=True)
class EventCount:
    """An event's row of totals: how far its ledger is counted, and its part in the days on which events start."""

    event_id: int
    known_number: int = 0
    counted_number: int = 0
    settings: EventSettings | None = None
    figures: Figures = field(default_factory=Figures)

    def share(self) -> Mapping[date, tuple[int, int, int]]:
        """Day of the start → events, capacity, tickets in live bookings; nothing while it is not published."""
        if self.settings is None or not self.settings.published:
            return {}
        return {self.settings.starts_on: (1, self.settings.capacity, self.figures.live_tickets)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Numbers of an event's ledger: those above `after` up to `up_to`."""

    event_id: int
    after: int
    up_to: int


def next_spans(uncounted: Mapping[int, tuple[int, int]], rows_max: int) -> list[Span]:
    """The first `rows_max` of the rows that are not counted: event → (counted, known), in the order given."""
    spans = []
    for event_id, (counted, known) in uncounted.items():
        rows = min(known - counted, rows_max)
        if rows > 0:
            spans.append(Span(event_id=event_id, after=counted, up_to=counted + rows))
            rows_max -= rows
    return spans


@dataclass(frozen=True, slots=True)
class Period:
    """UTC days, both ends included."""

    first: date
    last: date

    @property
    def length(self) -> int:
        """In days."""
        return (self.last - self.first).days + 1

    def days(self) -> Iterator[date]:
        """Every day, in order."""
        return (self.first + timedelta(days=number) for number in range(self.length))


def make_period(first: date | None, last: date | None, today: date) -> Period:
    """The period between two days that may be missing: until today, or the default number of days."""
    before = timedelta(days=PERIOD_DAYS_DEFAULT - 1)
    if last is None:
        last = today if first is None or first <= today else first + before
    return Period(first if first is not None else last - before, last)


def month_of(day: date) -> date:
    """The first day of its month."""
    return day.replace(day=1)


def split_months(period: Period) -> tuple[list[date], list[date]]:
    """The whole months in the period, and the days beside them."""
    months: list[date] = []
    days: list[date] = []
    day = period.first
    while day <= period.last:
        following = month_of(month_of(day) + timedelta(days=31))
        if day.day == 1 and following - _ONE_DAY <= period.last:
            months.append(day)
            day = following
        else:
            days.append(day)
            day += _ONE_DAY
    return months, days


def ratio(part: int, whole: int) -> float:
    """How large a part of the whole, to four digits; 0 of nothing."""
    return round(part / whole, 4) if whole else 0.0


def percent(part: int, whole: int) -> float:
    """The same in percent, to two digits."""
    return round(100 * part / whole, 2) if whole else 0.0


@dataclass(frozen=True, slots=True)
class Block:
    """The leaders of one block of days, best first; with less than `full` of them, nobody else has anything."""

    leaders: Sequence[tuple[int, int]]  # event, value
    full: int

    @property
    def rest_max(self) -> int:
        """No event that is not among the leaders has more."""
        return self.leaders[-1][1] if len(self.leaders) == self.full else 0


def choose_candidates(blocks: Sequence[Block], wanted: int, limit: int) -> tuple[list[int], int]:
    """Events that may be among the `wanted` best over all blocks, at most `limit`; and a number that no other event
    which might be among them exceeds.

    From Fagin's threshold algorithms: an event has at least what it has where it leads, and at most that plus
    what the last leader has everywhere else.
    """
    at_least: dict[int, int] = {}
    room: dict[int, int] = {}  # what the last leaders have in the blocks that it leads
    for block in blocks:
        for event_id, value in block.leaders:
            at_least[event_id] = at_least.get(event_id, 0) + value
            room[event_id] = room.get(event_id, 0) + block.rest_max
    outside = sum(block.rest_max for block in blocks)
    at_most = {event_id: value + outside - room[event_id] for event_id, value in at_least.items()}
    sure = sorted(at_least.values(), reverse=True)
    bar = sure[wanted - 1] if len(sure) >= wanted else 0
    hopeful = sorted((e for e in at_most if at_most[e] >= bar), key=lambda e: (-at_most[e], -at_least[e], e))
    left_out = max((at_most[event_id] for event_id in hopeful[limit:]), default=0)
    return hopeful[:limit], max(outside, left_out)
