"""What a batch reads before it decides, and what it wants written afterwards."""

import uuid
from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.domain.availability import SIZE_MAX, available_tickets
from shared.domain.ledger import LedgerRow
from shared.domain.requests import Request

# Before any decision.
BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


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
    offered: int = 0  # tickets in open offers
    waitlist_enabled: bool = True
    waiting: list[int] = field(
        default_factory=lambda: [0] * SIZE_MAX
    )  # waiting entries that want 1, 2, … tickets
    drained_up_to: int = 0  # its newest drain mark: see shared/domain/drain.py
    drained_until: datetime | None = None
    drain_reason: str | None = None
    last_decided_at: datetime = BEGINNING  # of its newest ledger row

    @property
    def free(self) -> int:
        """Tickets that are neither booked nor held for an offer."""
        return self.capacity - self.booked - self.offered

    @property
    def available(self) -> int:
        """Tickets that a new booking could get now."""
        if not any(self.waiting):  # asked for each decision
            return self.free
        return available_tickets(
            capacity=self.capacity,
            booked=self.booked,
            offered=self.offered,
            waitlist_enabled=self.waitlist_enabled,
            waiting=self.waiting,
        )


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
class OfferState:
    """An offer: tickets held for one waitlist entry until `expires_at`. Its id is the job id of its ledger row."""

    id: uuid.UUID
    status: str
    expires_at: datetime
    created_at: datetime


@dataclass(slots=True, kw_only=True)
class EntryState:
    """A waitlist entry as the batch sees it; `number` is its row in the ledger, hence the order of joining."""

    id: uuid.UUID
    event_id: int
    user_id: int
    job_id: uuid.UUID
    number: int
    tickets: int
    status: str
    created_at: datetime
    offer: OfferState | None = None


@dataclass(slots=True)
class WaitingQueue:
    """Waiting entries of one size, the oldest first, as far as they were loaded: `complete` when that is all."""

    entries: deque[EntryState] = field(default_factory=deque)
    complete: bool = True


def empty_queues() -> tuple[WaitingQueue, ...]:
    """The queues of an event for which nobody waits, one a size."""
    return tuple(WaitingQueue() for _ in range(SIZE_MAX))


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Settings that rules read; rows that read one record it, because it may be another one tomorrow."""

    cancel_until: timedelta = timedelta(hours=24)  # before the start
    offer_lifetime: timedelta = timedelta(hours=1)


@dataclass(slots=True, kw_only=True)
class Snapshot:
    """Everything the rules may read about the requests of one batch. Deciding consumes it: events, bookings and
    waitlist entries in it move on with every request, so that the next one sees what the one before did.
    """

    events: dict[int, EventState]
    bookings: dict[uuid.UUID, BookingState] = field(default_factory=dict)
    live: dict[tuple[int, int], BookingState] = field(default_factory=dict)  # (event, user) → live booking
    entries: dict[tuple[int, int], EntryState] = field(
        default_factory=dict
    )  # (event, user) → waits, or has an offer
    offered: dict[uuid.UUID, EntryState] = field(default_factory=dict)  # offer, open or ended → its entry
    queues: defaultdict[int, tuple[WaitingQueue, ...]] = field(
        default_factory=lambda: defaultdict(empty_queues)
    )
    closed_users: set[int] = field(default_factory=set)
    terms: Terms = Terms()


@dataclass(slots=True)  # not frozen: as a verdict
class Decided:
    """One decided request: its ledger row, and the booking it made or cancelled. Nobody changes one."""

    request: Request
    row: LedgerRow
    booking: BookingState | None = None


@dataclass(frozen=True, slots=True)
class EndedEntry:
    """An entry that waits no more, and what it was before: `waiting` or `offered`."""

    entry: EntryState
    was: str


@dataclass(slots=True)
class Plan:
    """What deciding a batch wants written. Nothing is written twice: a booking that was made and cancelled
    in the same batch is in both lists, and so is an entry that was made, offered and ended.

    `rows` are all ledger rows in order: those of `decided`, and between them those of offers.
    """

    rows: list[LedgerRow] = field(default_factory=list)
    decided: list[Decided] = field(default_factory=list)
    made: list[BookingState] = field(default_factory=list)
    cancelled: list[BookingState] = field(default_factory=list)
    joined: list[EntryState] = field(default_factory=list)
    offered: list[EntryState] = field(default_factory=list)
    ended: list[EndedEntry] = field(default_factory=list)
    missing: list[Request] = field(default_factory=list)  # of events that do not exist: nothing to chain to
    undecided: list[Request] = field(
        default_factory=list
    )  # left for the next transaction, with what it will load
