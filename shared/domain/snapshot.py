"""What a batch reads before it decides, and what it wants written afterwards."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.ledger import LedgerRow
from shared.domain.requests import Request


@dataclass(slots=True, kw_only=True)
class EventState:
    """An event's row, locked. The counters and the ledger head move on as requests are decided."""

    id: int
    capacity: int
    booked: int
    max_per_booking: int
    status: str
    deleted: bool
    starts_at: datetime
    sales_open_at: datetime | None
    sales_close_at: datetime
    sales_paused: bool
    price_minor: int
    currency: str
    last_number: int
    last_hash: bytes
    last_arrival: int
    arrivals_reissued: int = 0
    drained_up_to: int = 0  # its newest drain mark: see shared/domain/drain.py
    drained_until: datetime | None = None
    drain_reason: str | None = None

    @property
    def available(self) -> int:
        """Tickets that a booking could get now."""
        return self.capacity - self.booked


@dataclass(slots=True, kw_only=True)
class BookingState:
    """A booking as the batch sees it."""

    id: uuid.UUID
    event_id: int
    user_id: int
    job_id: uuid.UUID
    tickets: int
    status: str
    reference: str = ""
    price_minor: int = 0
    currency: str = ""
    arrival: int = 0
    created_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Snapshot:
    """Everything the rules may read about the requests of one batch. Deciding consumes it: events and
    bookings in it move on with every request, so that the next one sees what the one before did.
    """

    events: dict[int, EventState]
    bookings: dict[uuid.UUID, BookingState] = field(default_factory=dict)
    live: dict[tuple[int, int], BookingState] = field(default_factory=dict)  # (event, user) → live booking
    closed_users: set[int] = field(default_factory=set)
    cancel_until: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Decided:
    """One decided request: its ledger row, and the booking it made or cancelled."""

    request: Request
    row: LedgerRow
    booking: BookingState | None = None


@dataclass(slots=True)
class Plan:
    """What deciding a batch wants written. Nothing is written twice: a booking that was made and cancelled
    in the same batch is in both lists.
    """

    decided: list[Decided] = field(default_factory=list)
    made: list[BookingState] = field(default_factory=list)
    cancelled: list[BookingState] = field(default_factory=list)
    missing: list[Request] = field(default_factory=list)  # of events that do not exist: nothing to chain to
