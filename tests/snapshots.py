"""Makes what the rules read, without a database: events, bookings, requests, and a database in memory."""

import copy
import itertools
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.domain.allocation import decide
from shared.domain.drain import DrainMark, set_drain
from shared.domain.ledger import GENESIS, LedgerRow
from shared.domain.requests import BOOK, Request
from shared.domain.snapshot import BookingState, EventState, Snapshot

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
OPENS, CLOSES, STARTS = NOW - timedelta(days=10), NOW + timedelta(days=29), NOW + timedelta(days=30)
_numbers = itertools.count(1)


def job_id(number: int) -> uuid.UUID:
    """A UUIDv7 of a number, the same in every run."""
    return uuid.UUID(int=number << 80 | 7 << 76 | 0b10 << 62)


def event_state(event_id: int = 1, **fields: Any) -> EventState:
    """An event on sale, for 10, at most 4 a booking."""
    defaults: dict[str, Any] = {
        "capacity": 10,
        "booked": 0,
        "max_per_booking": 4,
        "status": "scheduled",
        "deleted": False,
        "starts_at": STARTS,
        "sales_open_at": OPENS,
        "sales_close_at": CLOSES,
        "sales_paused": False,
        "price_minor": 1500,
        "currency": "EUR",
        "last_number": 0,
        "last_hash": GENESIS,
        "last_arrival": 0,
    }
    return EventState(id=event_id, **{**defaults, **fields})


def request(**fields: Any) -> Request:
    """A `book` request of user 1 for one ticket of event 1, accepted now."""
    defaults: dict[str, Any] = {
        "job_id": job_id(next(_numbers) + 10**9),
        "kind": "book",
        "event_id": 1,
        "user_id": 1,
        "arrival": 1,
        "accepted_at": NOW,
        "tickets": 1,
    }
    if fields.get("kind", "book") != "book":
        defaults["tickets"] = None
    return Request(**{**defaults, **fields})


def booking_state(**fields: Any) -> BookingState:
    """A live booking of user 1 at event 1."""
    number = next(_numbers)
    defaults: dict[str, Any] = {
        "id": job_id(number + 2 * 10**9),
        "event_id": 1,
        "user_id": 1,
        "job_id": job_id(number + 3 * 10**9),
        "tickets": 2,
        "status": "confirmed",
    }
    return BookingState(**{**defaults, **fields})


def snapshot_of(event: EventState, *bookings: BookingState, **fields: Any) -> Snapshot:
    """What a batch would have loaded of one event."""
    return Snapshot(
        events={event.id: event},
        bookings={booking.id: booking for booking in bookings},
        live={(b.event_id, b.user_id): b for b in bookings if b.status != "cancelled"},
        **fields,
    )


@dataclass
class Database:
    """The tables of the hot path in memory: loads what a batch loads, and no more; writes what it writes."""

    events: dict[int, EventState]
    bookings: dict[uuid.UUID, BookingState] = field(default_factory=dict)
    closed_users: set[int] = field(default_factory=set)
    rows: list[LedgerRow] = field(default_factory=list)
    lost: list[uuid.UUID] = field(default_factory=list)

    def decide(
        self, batch: Sequence[Request], now: datetime, quarantined: Collection[uuid.UUID] = ()
    ) -> None:
        """One transaction: what the ledger knows is left out, the rest is decided and written."""
        known = {row.job_id for row in self.rows}
        fresh = [one for one in batch if one.job_id not in known]
        snapshot = self._load(fresh)
        plan = decide(snapshot, fresh, now, quarantined)
        assert len({decided.row.job_id for decided in plan.decided}) == len(plan.decided)
        self.rows += [decided.row for decided in plan.decided]
        self.lost += [one.job_id for one in plan.missing]
        self.events |= snapshot.events
        for booking in plan.made:
            assert booking.id not in self.bookings
            self.bookings[booking.id] = booking
        for booking in plan.cancelled:
            self.bookings[booking.id] = booking

    def drain(self, event_id: int, mark: DrainMark) -> None:
        """An admin drains an event's line between two transactions."""
        set_drain(self.events[event_id], mark)

    def _load(self, batch: Sequence[Request]) -> Snapshot:
        snapshot = Snapshot(
            events={
                one.event_id: copy.copy(self.events[one.event_id])
                for one in batch
                if one.event_id in self.events
            }
        )
        asked = {(one.event_id, one.user_id) for one in batch if one.kind == BOOK}
        wanted = {one.booking_id for one in batch}
        snapshot.closed_users = self.closed_users & {user_id for _, user_id in asked if user_id is not None}
        for stored in self.bookings.values():
            of_asker = stored.status != "cancelled" and (stored.event_id, stored.user_id) in asked
            if not of_asker and stored.id not in wanted:
                continue
            booking = snapshot.bookings[stored.id] = copy.copy(stored)
            if booking.status != "cancelled":
                snapshot.live[booking.event_id, booking.user_id] = booking
        return snapshot
