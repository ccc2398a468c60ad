"""Replaying an event from its ledger rows alone, with the very functions that decided it.

Each row becomes the request it came from, `allocation.decide_one` decides that request again on the replayed
state, and the row it makes must be the row that stands in the ledger, hash included. An offer must go to whoever has
waited longest among those who fit, and nothing may be decided while anybody fits. What no rule can know
from the ledger is taken as a fact of the row: that an account was closed, that a client withdrew, that a
request was quarantined, the right under which somebody cancelled, and the cancellation deadline of that day.

After a row that is not what it should be, the state follows the row as recorded, so that one fault is one
finding (or a few) and not a wrong remainder.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Final

from shared.clock import parse_rfc3339
from shared.domain import waitlist
from shared.domain.allocation import SLICE_KINDS, decide_one, decide_slice
from shared.domain.drain import drain_facts, read_drain, set_drain
from shared.domain.findings import Finding
from shared.domain.ledger import (
    DRAIN,
    END_WAITLIST_SLICE,
    EVENT_SET,
    GENESIS,
    OFFER,
    LedgerRow,
    chain_hash,
)
from shared.domain.outcomes import CANCELLED, DONE, FAILED, Verdict
from shared.domain.replay_requests import recorded_cancel_until, request_of, set_event
from shared.domain.replay_undo import do_as_recorded, take_back
from shared.domain.requests import KINDS, SLICED_KINDS, RequestKind
from shared.domain.rows import append_row
from shared.domain.snapshot import BookingState, EntryState, EventState, Plan, Snapshot, Terms, WaitingQueue
from shared.ids import derived_uuid

# The chain, the numbers and the arrivals answer for these columns; every other one is the rules' business.
_OWN_CHECK: Final = frozenset({"hash", "number", "arrival"})
_BY_RULE: Final = tuple(column.name for column in fields(LedgerRow) if column.name not in _OWN_CHECK)
_SLICED: Final[dict[str, RequestKind]] = {slices: kind for kind, slices in SLICE_KINDS.items()}
_LONG_AGO: Final = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Before:
    """The state before a row, to go back to when the row turns out not to be what the rules make of it."""

    booked: int
    offered: int
    waiting: list[int]
    last_number: int
    last_hash: bytes
    last_arrival: int
    plan: Plan = field(default_factory=Plan)  # what the row was expected to do


class Replay:
    """One event's ledger, replayed row by row.

    `event` and `bookings` are the state after the last row: what the tables must hold. Memory: one event's
    bookings. Some 15 µs a row.
    """

    def __init__(self, event_id: int) -> None:
        self.event = EventState(
            id=event_id,
            capacity=0,
            booked=0,
            max_per_booking=0,
            status="draft",
            deleted=False,
            starts_at=_LONG_AGO,
            sales_open_at=None,
            sales_close_at=_LONG_AGO,
            sales_paused=False,
            price_minor=0,
            currency="",
            last_number=0,
            last_hash=GENESIS,
            last_arrival=0,
        )
        self.snapshot = Snapshot(events={event_id: self.event})
        self.known = False  # an event_set row was seen: the rules have something to read
        self.rows = 0
        self.overtakings = 0  # accepted_at earlier than that of the arrival before: clocks, for information
        self.open_slices: dict[uuid.UUID, int] = {}  # of requests whose own row has not come: id → number
        self._entries: dict[uuid.UUID, EntryState] = {}
        self._passed_over: set[uuid.UUID] = set()  # entries of which it was said that an offer is due
        self._true_hash = GENESIS  # what the last row's hash should have been
        self._last_decided_at = self._last_accepted_at = _LONG_AGO

    @property
    def entries(self) -> dict[uuid.UUID, EntryState]:
        """Every waitlist entry the ledger made, by id, however it ended."""
        return self._entries

    @property
    def bookings(self) -> dict[uuid.UUID, BookingState]:
        """Every booking the ledger made, live or cancelled."""
        return self.snapshot.bookings

    def step(self, row: LedgerRow) -> list[Finding]:
        """Replays the next row; returns what is wrong with it, which is nothing for a truthful one."""
        event = self.event
        before = _Before(
            event.booked,
            event.offered,
            event.waiting.copy(),
            event.last_number,
            event.last_hash,
            event.last_arrival,
        )
        expected = self._expect(row, before)
        found: list[Finding] = []
        # Most rows are right, and one comparison says so.
        if expected == row and row.decided_at >= self._last_decided_at and event.free >= 0:
            self._true_hash = row.hash
        else:
            found = self._explain(row, expected, before)
        self._entries.update((entry.id, entry) for entry in before.plan.joined)
        self.rows += 1
        self._last_decided_at = row.decided_at
        if row.arrival is not None:
            self.overtakings += row.accepted_at < self._last_accepted_at
            self._last_accepted_at = row.accepted_at
        if row.kind in SLICED_KINDS:
            self._close_slices(row)
        return found

    def _expect(self, row: LedgerRow, before: _Before) -> LedgerRow | str:
        """The row that the replayed state makes of this row's request, or why it makes none."""
        if not self.known and row.kind != EVENT_SET:
            return "an event_set row before it"
        try:
            if row.kind == EVENT_SET:
                return self._expect_event_set(row)
            if row.kind == DRAIN:
                return self._expect_drain(row)
            if row.kind in _SLICED:
                return self._expect_slice(row, before)
            if row.kind == OFFER:
                return self._expect_offer(row, before.plan)
            if row.kind in KINDS:
                return self._expect_decision(row, before.plan)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, waitlist.UnloadedError) as error:
            return f"no such row: {error!r}"
        return "a known kind of row"

    def _expect_event_set(self, row: LedgerRow) -> LedgerRow:
        set_event(self.event, row.facts)
        self.known = True
        return self._control_row(row, row.facts)

    def _expect_drain(self, row: LedgerRow) -> LedgerRow:
        mark = read_drain(row.facts)
        if mark.up_to_arrival <= self.event.last_arrival:
            raise ValueError("drains a line in which nothing waits")
        set_drain(self.event, mark)
        return self._control_row(row, drain_facts(mark))

    def _control_row(self, row: LedgerRow, facts: dict[str, Any]) -> LedgerRow:
        return append_row(
            self.event,
            job_id=row.job_id,
            arrival=None,
            kind=row.kind,
            user_id=row.user_id,
            tickets=None,
            verdict=Verdict(DONE, None, facts),
            booking_id=None,
            accepted_at=row.decided_at,
            now=row.decided_at,
        )

    def _expect_decision(self, row: LedgerRow, plan: Plan) -> LedgerRow:
        request = request_of(row, row.kind, arrival=self.event.last_arrival + 1)  # type: ignore[arg-type]
        self.snapshot.terms = Terms(cancel_until=recorded_cancel_until(self.event, row))
        self.snapshot.closed_users.clear()
        if row.reason == "account_closed" and row.user_id is not None:
            self.snapshot.closed_users.add(row.user_id)
        quarantined = (row.job_id,) if row.outcome == FAILED else ()
        if not quarantined and (left_out := self.find_left_out(row.decided_at)) is not None:
            self._passed_over.add(left_out.id)
            raise ValueError(f"free tickets fit entry {left_out.id}, which waits")
        return decide_one(self.snapshot, plan, self.event, request, row.decided_at, quarantined)

    def find_left_out(self, now: datetime) -> EntryState | None:
        """Who waits for tickets that are free, and should have an offer by `now`; None when nobody does. Of whom it was
        said before that they were passed over, they are no new fault, and the tickets due to them are not free.
        """
        if not waitlist.may_offer(self.event, now):
            return None
        self._passed_over = {
            each for each in self._passed_over if self._entries[each].status == waitlist.WAITING
        }
        if not self._passed_over:
            return waitlist.find_next(self.snapshot, self.event)
        spare = self.event.free - sum(self._entries[entry_id].tickets for entry_id in self._passed_over)
        fit = (self._first_of(queue) for queue in self.snapshot.queues[self.event.id][: max(spare, 0)])
        return min((each for each in fit if each is not None), key=lambda each: each.number, default=None)

    def _first_of(self, queue: WaitingQueue) -> EntryState | None:
        waiting = (entry for entry in queue.entries if entry.status == waitlist.WAITING)
        return next((entry for entry in waiting if entry.id not in self._passed_over), None)

    def _expect_offer(self, row: LedgerRow, plan: Plan) -> LedgerRow:
        entry = self.find_left_out(row.decided_at)
        named = self._entries.get(uuid.UUID(row.facts["entry_id"]))
        if (
            named is not None
            and named.id in self._passed_over
            and waitlist.may_offer(self.event, row.decided_at)
        ):
            entry = named  # at last
        if entry is None or entry.status != waitlist.WAITING or entry.tickets > self.event.free:
            raise ValueError("offers tickets that nobody waits for")
        if entry is not named:
            self._passed_over.add(entry.id)
        expires_at = parse_rfc3339(row.facts["expires_at"])
        if not row.decided_at < expires_at <= self.event.starts_at:
            raise ValueError("an offer ends after it was made, and not after the start")
        cause = uuid.UUID(row.facts["cause"])
        return waitlist.offer(
            self.snapshot, plan, self.event, entry, cause=cause, expires_at=expires_at, now=row.decided_at
        )

    def _expect_slice(self, row: LedgerRow, before: _Before) -> LedgerRow:
        """A slice's own id is checked when its call-off's row comes: until then the parent is unknown."""
        bookings = [self.bookings[uuid.UUID(text)] for text in row.facts["cancelled"]]
        entries = [self._entries[uuid.UUID(text)] for text in row.facts.get("ended", ())]
        if any(booking.status == CANCELLED for booking in bookings):
            raise ValueError("cancels a booking that is cancelled")
        if any(entry.status not in (waitlist.WAITING, waitlist.OFFERED) for entry in entries):
            raise ValueError("ends an entry that has ended")
        if len(set(row.facts["cancelled"])) < len(bookings) or len({e.id for e in entries}) < len(entries):
            raise ValueError("ends something twice")
        if row.kind == END_WAITLIST_SLICE and (bookings or row.decided_at < self.event.starts_at):
            raise ValueError("ends more than the waitlist of an event that has started")
        request = request_of(row, _SLICED[row.kind], arrival=0)
        before.plan = decide_slice(self.snapshot, request, bookings, entries, row.decided_at)
        expected = before.plan.rows[0]
        expected.job_id = row.job_id
        expected.hash = self.event.last_hash = chain_hash(before.last_hash, expected)
        self.open_slices[row.job_id] = row.number
        return expected

    def _close_slices(self, row: LedgerRow) -> None:
        for part, number in list(self.open_slices.items()):
            if part == derived_uuid(row.job_id, number):
                del self.open_slices[part]

    def _explain(self, row: LedgerRow, expected: LedgerRow | str, before: _Before) -> list[Finding]:
        """The findings of a row that is not as expected; afterwards the state follows the row as recorded."""
        found = list(_differences(row, expected))
        if row.number != before.last_number + 1:
            found.append(_finding(row, "numbers", "number", before.last_number + 1, row.number))
        arrival = before.last_arrival + 1 if row.kind in KINDS else None
        if row.arrival != arrival:
            found.append(_finding(row, "arrivals", "arrival", arrival, row.arrival))
        if row.decided_at < self._last_decided_at:
            found.append(
                _finding(row, "clock", "decided_at", f"not before {self._last_decided_at}", row.decided_at)
            )
        # When the row before has a wrong hash, chaining to what it should have been is no second fault.
        true_hash = chain_hash(before.last_hash, row)
        if row.hash not in (true_hash, chain_hash(self._true_hash, row)):
            found.append(_finding(row, "chain", "hash", true_hash.hex(), row.hash.hex()))
        self._true_hash = true_hash
        self._follow(row, before)
        grew = (
            self.event.booked + self.event.offered > before.booked + before.offered or row.kind == EVENT_SET
        )
        if self.known and grew and self.event.free < 0:
            taken = self.event.booked + self.event.offered
            found.append(
                _finding(row, "oversell", "booked + offered", f"at most {self.event.capacity}", taken)
            )
        return found

    def _follow(self, row: LedgerRow, before: _Before) -> None:
        """Takes back what the expected decision did and does what the row says, whatever the rules think."""
        event = self.event
        take_back(self.snapshot, before.plan)
        event.booked, event.offered, event.waiting = before.booked, before.offered, before.waiting
        before.plan = do_as_recorded(self.snapshot, event, row)
        event.last_number, event.last_hash = row.number, row.hash
        event.last_arrival = before.last_arrival if row.arrival is None else row.arrival


def _differences(row: LedgerRow, expected: LedgerRow | str) -> Iterator[Finding]:
    if isinstance(expected, str):
        yield _finding(row, "rules", "row", expected, f"{row.kind} {row.outcome} {row.reason or ''}".rstrip())
        return
    for column in _BY_RULE:
        wanted, value = getattr(expected, column), getattr(row, column)
        if wanted != value:
            yield _finding(row, "rules", column, wanted, value)


def _finding(row: LedgerRow, check: str, what: str, expected: object, found: object) -> Finding:
    return Finding(
        check=check,
        what=what,
        expected=expected,
        found=found,
        event_id=row.event_id,
        number=row.number,
        job_id=row.job_id,
    )
