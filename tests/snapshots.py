"""Makes what the rules read, without a database: events, bookings, requests, and a database in memory."""

import copy
import inspect
import itertools
import uuid
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.domain.allocation import decide, decide_slice
from shared.domain.drain import DrainMark, drain_facts, set_drain
from shared.domain.ledger import DRAIN, EVENT_SET, GENESIS, OFFER, LedgerRow, event_set_facts
from shared.domain.outcomes import DONE, Verdict
from shared.domain.requests import ACCEPT_OFFER, BOOK, JOIN_WAITLIST, Request
from shared.domain.rows import append_row
from shared.domain.snapshot import BookingState, EntryState, EventState, Plan, Snapshot, Terms
from shared.domain.waitlist import OFFERED, WAITING
from shared.domain.waitlist_heads import heads_wanted, line_up
from shared.ids import derived_uuid

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


def _fresh_event(event: EventState) -> EventState:
    return replace(event, waiting=event.waiting.copy())


def _fresh_entry(entry: EntryState) -> EntryState:
    return replace(entry, offer=copy.copy(entry.offer))


@dataclass
class Database:
    """The tables of the hot path in memory: loads what a batch loads, and no more; writes what it writes."""

    events: dict[int, EventState]
    bookings: dict[uuid.UUID, BookingState] = field(default_factory=dict)
    entries: dict[uuid.UUID, EntryState] = field(default_factory=dict)
    closed_users: set[int] = field(default_factory=set)
    rows: list[LedgerRow] = field(default_factory=list)
    lost: list[uuid.UUID] = field(default_factory=list)
    terms: Terms = field(default_factory=Terms)

    def decide(
        self, batch: Sequence[Request], now: datetime, quarantined: Collection[uuid.UUID] = ()
    ) -> None:
        """What a worker does with a batch: transaction after transaction until all of it is decided. What the ledger
        knows is left out."""
        known = {row.job_id for row in self.rows}
        left = [one for one in batch if one.job_id not in known]
        while left:
            plan = self._decide_once(left, now, quarantined)
            done = {decided.row.job_id for decided in plan.decided} | {one.job_id for one in plan.missing}
            assert plan.undecided == [one for one in left if one.job_id not in done]
            assert plan.rows or plan.missing, "a transaction that comes to nothing is repeated for ever"
            left = plan.undecided

    def _decide_once(
        self, batch: Sequence[Request], now: datetime, quarantined: Collection[uuid.UUID]
    ) -> Plan:
        snapshot = self.load(batch)
        plan = decide(snapshot, batch, now, quarantined)
        assert len({decided.row.job_id for decided in plan.decided}) == len(plan.decided)
        assert [row for row in plan.rows if row.kind != OFFER] == [decided.row for decided in plan.decided]
        self.lost += [one.job_id for one in plan.missing]
        self._write(snapshot, plan)
        return plan

    def call_off(self, call_off: Request, now: datetime, slice_size: int) -> None:
        """A call-off, a slice a transaction, then its own row."""
        while True:
            snapshot = Snapshot(events={call_off.event_id: _fresh_event(self.events[call_off.event_id])})
            live = [one for one in self.bookings.values() if one.status != "cancelled"]
            bookings = [copy.copy(one) for one in live if one.event_id == call_off.event_id][:slice_size]
            ids = [one.id for one in self._live_entries() if one.event_id == call_off.event_id]
            entries = self._remember(snapshot, ids[:slice_size])
            snapshot.live |= {(one.event_id, one.user_id): one for one in bookings}
            if not bookings and not entries:
                break
            self._write(snapshot, decide_slice(snapshot, call_off, bookings, entries, now))
        self.decide([call_off], now)

    def drain(self, event_id: int, mark: DrainMark) -> None:
        """An admin drains an event's line between two transactions."""
        set_drain(self.events[event_id], mark)

    def set_event(self, event_id: int, now: datetime, **changes: Any) -> None:
        """The control plane changes an event: its fields and the ledger row that says so."""
        event = self.events[event_id]
        for name, value in changes.items():
            setattr(event, name, value)
        names = inspect.signature(event_set_facts).parameters
        facts = event_set_facts(**{name: getattr(event, name) for name in names})
        self._control_row(event, EVENT_SET, facts, now)

    def set_drain(self, event_id: int, now: datetime, mark: DrainMark) -> None:
        """`drain`, with its ledger row."""
        self.drain(event_id, mark)
        self._control_row(self.events[event_id], DRAIN, drain_facts(mark), now)

    def _control_row(self, event: EventState, kind: str, facts: dict[str, Any], now: datetime) -> None:
        row = append_row(
            event,
            job_id=derived_uuid(job_id(event.id), event.last_number),
            arrival=None,
            kind=kind,
            user_id=None,
            tickets=None,
            verdict=Verdict(DONE, None, facts),
            booking_id=None,
            accepted_at=now,
            now=now,
        )
        self.rows.append(row)

    def _write(self, snapshot: Snapshot, plan: Plan) -> None:
        self.rows += plan.rows
        self.events |= snapshot.events
        for booking in plan.made:
            assert booking.id not in self.bookings
            self.bookings[booking.id] = booking
        for booking in plan.cancelled:
            self.bookings[booking.id] = booking
        for entry in plan.joined:
            assert entry.id not in self.entries
            self.entries[entry.id] = entry
        moved = [*plan.offered, *(ended.entry for ended in plan.ended)]
        assert all(entry.id in self.entries for entry in moved)
        self.entries |= {entry.id: entry for entry in moved}
        live = Counter((entry.event_id, entry.user_id) for entry in self._live_entries())
        assert max(live.values(), default=0) <= 1, "a unique index"

    def _live_entries(self) -> list[EntryState]:
        return [entry for entry in self.entries.values() if entry.status in (WAITING, OFFERED)]

    def load(self, batch: Sequence[Request]) -> Snapshot:
        """What a batch's transaction begins with."""
        snapshot = Snapshot(
            events={
                one.event_id: _fresh_event(self.events[one.event_id])
                for one in batch
                if one.event_id in self.events
            },
            terms=self.terms,
        )
        books = (BOOK, JOIN_WAITLIST, ACCEPT_OFFER)
        asked = {(one.event_id, one.user_id) for one in batch if one.kind in books}
        wanted = {one.booking_id for one in batch}
        snapshot.closed_users = self.closed_users & {user_id for _, user_id in asked if user_id is not None}
        for stored in self.bookings.values():
            of_asker = stored.status != "cancelled" and (stored.event_id, stored.user_id) in asked
            if not of_asker and stored.id not in wanted:
                continue
            booking = snapshot.bookings[stored.id] = copy.copy(stored)
            if booking.status != "cancelled":
                snapshot.live[booking.event_id, booking.user_id] = booking
        self._load_waitlists(snapshot, batch)
        return snapshot

    def _load_waitlists(self, snapshot: Snapshot, batch: Sequence[Request]) -> None:
        """The same entries as `shared.store.batch_waitlists.load_waitlists`: of who asks, of offers, and the heads."""
        asked = {(one.event_id, one.user_id) for one in batch}
        offers = {one.offer_id for one in batch} - {None}
        ids = [entry.id for entry in self._live_entries() if (entry.event_id, entry.user_id) in asked]
        ids += [entry.id for entry in self.entries.values() if entry.offer and entry.offer.id in offers]
        loaded = {}
        for event_id, size, count in heads_wanted(snapshot, batch):
            waiting = [
                entry
                for entry in self.entries.values()
                if (entry.event_id, entry.tickets, entry.status) == (event_id, size, WAITING)
            ]
            ids += [entry.id for entry in sorted(waiting, key=lambda entry: entry.number)[:count]]
            loaded[event_id, size] = count
        self._remember(snapshot, list(dict.fromkeys(ids)))
        line_up(snapshot, loaded)

    def _remember(self, snapshot: Snapshot, ids: Sequence[uuid.UUID]) -> list[EntryState]:
        entries = [_fresh_entry(self.entries[entry_id]) for entry_id in ids]
        for entry in entries:
            if entry.offer is not None:
                snapshot.offered[entry.offer.id] = entry
            if entry.status in (WAITING, OFFERED):
                snapshot.entries[entry.event_id, entry.user_id] = entry
        return entries
