"""What an event may look like, how it may change, and what its sale looks like from outside."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from shared.errors import InvalidInputError, RefusedError

DRAFT: Final = "draft"
SCHEDULED: Final = "scheduled"
CANCELLED: Final = "cancelled"
COMPLETED: Final = "completed"  # derived, never stored: scheduled and over

Sales = Literal["not_open", "open", "paused", "sold_out", "closed"]

DEFAULT_DURATION: Final = timedelta(hours=2)
# Lists of what is upcoming read the index from here on, instead of every event that ever was.
MAX_DURATION: Final = timedelta(days=366)


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What stands in the way of a smaller event: tickets booked, tickets in open offers, entries that wait."""

    booked: int
    offered: int
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFields:
    """The writable fields of an event, complete. Amounts in minor units, instants in UTC."""

    title: str
    starts_at: datetime
    ends_at: datetime
    sales_close_at: datetime
    capacity: int
    description: str = ""
    venue: str = ""
    category: str = ""
    code: str | None = None
    time_zone: str = "UTC"
    sales_open_at: datetime | None = None
    sales_paused: bool = False
    price_minor: int = 0
    currency: str = "EUR"
    max_per_booking: int = 10
    waitlist_enabled: bool = True
    status: str = DRAFT
    organization_id: int | None = None


FIELD_NAMES: Final = tuple(field.name for field in fields(EventFields))


def complete(values: Mapping[str, Any]) -> EventFields:
    """The fields in `values` (at least title, starts_at, capacity); what is absent has its default."""
    starts_at: datetime = values["starts_at"]
    given = {name: value for name, value in values.items() if value is not None}
    return EventFields(**{"ends_at": starts_at + DEFAULT_DURATION, "sales_close_at": starts_at, **given})


def merge(current: EventFields, changes: Mapping[str, Any]) -> EventFields:
    """`current` with `changes`. An end of the event or of its sale that stood at its default moves with the
    start; null puts a field back to its default.
    """
    starts_at: datetime = changes.get("starts_at", current.starts_at)
    ends_at = None if current.ends_at == current.starts_at + DEFAULT_DURATION else current.ends_at
    sales_close_at = None if current.sales_close_at == current.starts_at else current.sales_close_at
    ends = {
        "ends_at": changes.get("ends_at", ends_at) or starts_at + DEFAULT_DURATION,
        "sales_close_at": changes.get("sales_close_at", sales_close_at) or starts_at,
    }
    return replace(current, **{**changes, **ends})


def check_new(wanted: EventFields, *, now: datetime) -> None:
    """Raises InvalidInputError when an event may not be created like this."""
    _raise_if_any([*_date_errors(wanted), *_start_errors(wanted, now)])


def check_change(current: EventFields, wanted: EventFields, committed: Committed, *, now: datetime) -> None:
    """Raises when an event with what is `committed` may not change from `current` to `wanted`.

    InvalidInputError, or RefusedError `event_over` (called off, or published and past: history stays as it
    was), `event_has_bookings` (back to draft), `capacity_below_committed`. A draft is never over: nobody saw
    it.
    """
    if current.status == CANCELLED or is_completed(current.status, current.ends_at, now):
        raise RefusedError("event_over")
    errors = list(_date_errors(wanted))
    published_now = current.status == DRAFT and wanted.status == SCHEDULED
    if published_now or wanted.starts_at != current.starts_at:
        errors += _start_errors(wanted, now)
    _raise_if_any(errors)
    if wanted.status == DRAFT:
        check_nobody_concerned(committed)
    if wanted.capacity < committed.booked + committed.offered:
        detail = f"{committed.booked} tickets are booked, {committed.offered} are offered to who waits."
        raise RefusedError(
            "capacity_below_committed", detail, booked=committed.booked, offered=committed.offered
        )


def check_nobody_concerned(committed: Committed) -> None:
    """Raises RefusedError `event_has_bookings` when somebody has tickets or waits for them: they would not be told."""
    if committed.booked or committed.offered or committed.waiting:
        raise RefusedError(
            "event_has_bookings",
            booked=committed.booked,
            offered=committed.offered,
            waiting=committed.waiting,
        )


def is_completed(status: str, ends_at: datetime, now: datetime) -> bool:
    """True for a published event that is over."""
    return status == SCHEDULED and ends_at <= now


def shown_status(status: str, ends_at: datetime, now: datetime) -> str:
    """The status that clients see: the stored one, or `completed`."""
    return COMPLETED if is_completed(status, ends_at, now) else status


def sales_state(
    *,
    status: str,
    sales_open_at: datetime | None,
    sales_close_at: datetime,
    sales_paused: bool,
    line_paused: bool,
    available: int,
    at: datetime,
) -> Sales:
    """What the sale looks like at the instant `at`. A pause of the line comes last: requests still get in
    then, and are told the other four at the door.
    """
    if status == CANCELLED or at >= sales_close_at:
        return "closed"
    if sales_paused:
        return "paused"
    if status == DRAFT or (sales_open_at is not None and at < sales_open_at):
        return "not_open"
    if available == 0:
        return "sold_out"
    return "paused" if line_paused else "open"


def _start_errors(wanted: EventFields, now: datetime) -> Iterator[dict[str, str]]:
    if wanted.starts_at <= now:
        yield {"pointer": "#/starts_at", "detail": "Must be in the future."}


def _date_errors(wanted: EventFields) -> Iterator[dict[str, str]]:
    if wanted.ends_at < wanted.starts_at:
        yield {"pointer": "#/ends_at", "detail": "Must not be before starts_at."}
    if wanted.ends_at - wanted.starts_at > MAX_DURATION:
        yield {"pointer": "#/ends_at", "detail": f"Must be at most {MAX_DURATION.days} days after starts_at."}
    if wanted.sales_close_at > wanted.starts_at:
        yield {"pointer": "#/sales_close_at", "detail": "Must not be after starts_at."}
    if wanted.sales_open_at is not None and wanted.sales_open_at >= wanted.sales_close_at:
        yield {"pointer": "#/sales_open_at", "detail": "Must be before sales_close_at."}


def _raise_if_any(errors: list[dict[str, str]]) -> None:
    if errors:
        raise InvalidInputError(errors)
