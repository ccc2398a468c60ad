"""Truthful ledgers, quickly: the real rules decide in memory, and the outcome is written as workers would."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Engine, text

from shared.domain.allocation import decide, decide_slice
from shared.domain.drain import DrainMark, drain_facts, set_drain
from shared.domain.ledger import DRAIN, EVENT_SET, GENESIS, OFFER, LedgerRow, event_set_facts
from shared.domain.outcomes import CANCELLED, DONE, Verdict
from shared.domain.requests import BOOK, CALL_OFF, CANCEL, END_WAITLIST, JOIN_WAITLIST, Request, RequestKind
from shared.domain.rows import append_row
from shared.domain.snapshot import BookingState, EventState, Snapshot
from shared.ids import uuid7

OPENING = datetime(2026, 11, 1, 9, tzinfo=UTC)


class TruthfulLedger:
    """One event's ledger, made by the rules themselves, a second a decision."""

    def __init__(self, *, event_id: int = 1, host_id: int = 1, **fields: Any) -> None:
        starts_at = OPENING + timedelta(days=30)
        defaults: dict[str, Any] = {
            "capacity": 10,
            "max_per_booking": 4,
            "status": "scheduled",
            "deleted": False,
            "starts_at": starts_at,
            "sales_open_at": None,
            "sales_close_at": starts_at,
            "sales_paused": False,
            "price_minor": 1500,
            "currency": "EUR",
        }
        self.host_id = host_id
        self.now = OPENING
        self.rows: list[LedgerRow] = []
        self.cancelled_at: dict[uuid.UUID, datetime] = {}
        self.event = EventState(
            id=event_id, booked=0, last_number=0, last_hash=GENESIS, last_arrival=0, **(defaults | fields)
        )
        self.snapshot = Snapshot(events={event_id: self.event})
        self.set_event()

    def set_event(self, **changes: Any) -> LedgerRow:
        """The control plane changes the event."""
        for name, value in changes.items():
            setattr(self.event, name, value)
        event = self.event
        facts = event_set_facts(
            capacity=event.capacity,
            max_per_booking=event.max_per_booking,
            status=event.status,
            deleted=event.deleted,
            starts_at=event.starts_at,
            sales_open_at=event.sales_open_at,
            sales_close_at=event.sales_close_at,
            sales_paused=event.sales_paused,
            price_minor=event.price_minor,
            currency=event.currency,
            waitlist_enabled=event.waitlist_enabled,
        )
        return self._control_row(EVENT_SET, facts)

    def drain(self, waiting: int = 1, reason: str = "The price was wrong.", **fields: Any) -> LedgerRow:
        """An admin drains the line, in which `waiting` requests stand that were accepted by now."""
        given = {"up_to_arrival": self.event.last_arrival + waiting, "accepted_until": self.now}
        mark = DrainMark(reason=reason, **(given | fields))
        set_drain(self.event, mark)
        return self._control_row(DRAIN, drain_facts(mark))

    def _control_row(self, kind: str, facts: dict[str, Any]) -> LedgerRow:
        row = append_row(
            self.event,
            job_id=uuid7(),
            arrival=None,
            kind=kind,
            user_id=self.host_id,
            tickets=None,
            verdict=Verdict(DONE, None, facts),
            booking_id=None,
            accepted_at=self.now,
            now=self.now,
        )
        self.rows.append(row)
        return row

    def book(self, user_id: int, tickets: int = 1, **fields: Any) -> LedgerRow:
        """A booking request is decided; `quarantined=True` as poison, `closed=True` for a closed account."""
        quarantined, closed = fields.pop("quarantined", False), fields.pop("closed", False)
        self.snapshot.closed_users = {user_id} if closed else set()
        request = self._request(BOOK, user_id, tickets=tickets, **fields)
        return self._decide(request, quarantined=quarantined)

    def cancel(self, user_id: int, booking_id: uuid.UUID | None, **fields: Any) -> LedgerRow:
        """A cancellation is decided."""
        return self._decide(self._request(CANCEL, user_id, booking_id=booking_id, **fields))

    def join(self, user_id: int, tickets: int = 1, **fields: Any) -> LedgerRow:
        """Somebody asks for a place on the waitlist."""
        return self._decide(self._request(JOIN_WAITLIST, user_id, tickets=tickets, **fields))

    def ask(self, kind: RequestKind, user_id: int | None, **fields: Any) -> LedgerRow:
        """Any other request is decided: about an offer with its `offer_id`; `quarantined=True` as poison."""
        quarantined, closed = fields.pop("quarantined", False), fields.pop("closed", False)
        self.snapshot.closed_users = {user_id or 0} if closed else set()
        return self._decide(self._request(kind, user_id, **fields), quarantined=quarantined)

    def offer_of(self, user_id: int) -> LedgerRow:
        """The row of the newest offer made to a user."""
        return [row for row in self.rows if row.kind == OFFER and row.user_id == user_id][-1]

    def call_off(self, slice_size: int = 2) -> list[LedgerRow]:
        """The event is called off and worked off in slices."""
        self.set_event(status="cancelled")
        request = self._request(CALL_OFF, self.host_id)
        start = len(self.rows)
        while True:
            live = [booking for booking in self.snapshot.bookings.values() if booking.status != CANCELLED]
            entries = list(self.snapshot.entries.values())[:slice_size]
            if not live and not entries:
                break
            plan = decide_slice(self.snapshot, request, live[:slice_size], entries, self.now)
            self.cancelled_at.update((booking.id, self.now) for booking in plan.cancelled)
            self.rows += plan.rows
        self._decide(request)
        return self.rows[start:]

    def end_waitlist(self, slice_size: int = 2) -> list[LedgerRow]:
        """The event has started: who still waits, or has an offer, waited in vain. Worked off in slices."""
        self.now = max(self.now, self.event.starts_at)
        request = self._request(END_WAITLIST, None)
        start = len(self.rows)
        while entries := list(self.snapshot.entries.values())[:slice_size]:
            self.rows += decide_slice(self.snapshot, request, [], entries, self.now).rows
        self._decide(request)
        return self.rows[start:]

    def _request(self, kind: Any, user_id: int | None, **fields: Any) -> Request:
        self.now += timedelta(seconds=1)
        given: dict[str, Any] = {
            "job_id": uuid7(),
            "arrival": self.event.last_arrival + 1,
            "accepted_at": self.now - timedelta(milliseconds=5),
        }
        return Request(kind=kind, event_id=self.event.id, user_id=user_id, **(given | fields))

    def _decide(self, request: Request, *, quarantined: bool = False) -> LedgerRow:
        plan = decide(self.snapshot, [request], self.now, [request.job_id] if quarantined else [])
        self.cancelled_at.update((booking.id, self.now) for booking in plan.cancelled)
        self.rows += plan.rows
        return plan.decided[0].row

    def copies(self) -> list[LedgerRow]:
        """The rows, to be tampered with."""
        return [replace(row, facts=dict(row.facts)) for row in self.rows]

    def write(self, engine: Engine) -> None:
        """Event, ledger, bookings and audit log, as the control plane and the workers would leave them."""
        event = self.event
        with engine.begin() as connection:
            connection.execute(text(_EVENT), _event_values(event, self.host_id))
            connection.execute(text(_DECISION), [_decision_values(row) for row in self.rows])
            bookings = [self._booking_values(booking) for booking in self.snapshot.bookings.values()]
            if bookings:
                connection.execute(text(_BOOKING), bookings)
            if event.drained_up_to:
                connection.execute(text(_DRAINED), _drain_values(event))
            changes = [row for row in self.rows if row.kind in (EVENT_SET, DRAIN)]
            connection.execute(text(_AUDIT), [_audit_values(row) for row in changes])

    def _booking_values(self, booking: BookingState) -> dict[str, Any]:
        return {
            "id": booking.id,
            "reference": str(booking.id),
            "event_id": booking.event_id,
            "user_id": booking.user_id,
            "job_id": booking.job_id,
            "tickets": booking.tickets,
            "status": booking.status,
            "price_minor": booking.price_minor,
            "currency": booking.currency,
            "arrival": booking.arrival,
            "created_at": booking.created_at,
            "cancelled_at": self.cancelled_at.get(booking.id),
        }


def add_users(engine: Engine, count: int) -> Sequence[int]:
    """`count` users without a password; their ids."""
    with engine.begin() as connection:
        rows = connection.execute(
            text(
                "insert into users (name, email, role) select 'u', 'u' || n || '-' || gen_random_uuid() || "
                "'@example.org', 'host' from generate_series(1, :count) n returning id"
            ),
            {"count": count},
        )
        return sorted(rows.scalars())


def _event_values(event: EventState, host_id: int) -> dict[str, Any]:
    names = (
        "id", "capacity", "booked", "max_per_booking", "status", "starts_at", "sales_open_at", "sales_close_at",
        "sales_paused", "price_minor", "currency", "last_number", "last_hash", "last_arrival",
    )  # fmt: skip
    values = {name: getattr(event, name) for name in names}
    return values | {"host_id": host_id, "deleted_at": OPENING if event.deleted else None}


def _drain_values(event: EventState) -> dict[str, Any]:
    return {name: getattr(event, name) for name in ("id", "drained_up_to", "drained_until", "drain_reason")}


def _decision_values(row: LedgerRow) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in LedgerRow.__slots__}
    return values | {"facts": orjson.dumps(row.facts).decode()}


def _audit_values(row: LedgerRow) -> dict[str, Any]:
    return {
        "id": uuid7(),
        "actor": row.user_id,
        "target": str(row.event_id),
        "job": row.job_id,
        "at": row.decided_at,
    }


_EVENT = """
insert into events (id, host_id, title, time_zone, starts_at, ends_at, sales_open_at, sales_close_at, sales_paused,
    price_minor, currency, capacity, booked, max_per_booking, status, last_number, last_hash, last_arrival, deleted_at)
overriding system value values (:id, :host_id, 'Concert', 'UTC', :starts_at, :starts_at, :sales_open_at,
    :sales_close_at, :sales_paused, :price_minor, :currency, :capacity, :booked, :max_per_booking, :status,
    :last_number, :last_hash, :last_arrival, :deleted_at)
"""
_DRAINED = """
update events set drained_up_to = :drained_up_to, drained_until = :drained_until, drain_reason = :drain_reason
where id = :id
"""
_DECISION = """
insert into decisions (job_id, event_id, number, arrival, kind, user_id, tickets, outcome, reason, booking_id,
    available_after, facts, accepted_at, decided_at, hash)
values (:job_id, :event_id, :number, :arrival, :kind, :user_id, :tickets, :outcome, :reason, :booking_id,
    :available_after, cast(:facts as jsonb), :accepted_at, :decided_at, :hash)
"""
_BOOKING = """
insert into bookings (id, reference, event_id, user_id, job_id, tickets, status, price_minor, currency, arrival,
    created_at, cancelled_at)
values (:id, :reference, :event_id, :user_id, :job_id, :tickets, :status, :price_minor, :currency, :arrival,
    :created_at, :cancelled_at)
"""
_AUDIT = """
insert into audit_log (id, actor_id, action, target_type, target_id, job_id, at)
values (:id, :actor, 'event.change', 'event', :target, :job, :at)
"""
