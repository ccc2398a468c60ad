"""An event counted from its ledger rows as they stand: sums and lists, and nobody's rules.

A row is believed: what it says happened, happens here too. Whether it should have is for the invariants to say.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from scripts.trials.sources.tables import Decision

SIZE_MAX: Final = 10
ENDED_BY: Final = {"leave_waitlist": "left", "decline_offer": "declined", "expire_offer": "expired"}
SLICES: Final = frozenset({"call_off_slice", "end_waitlist_slice"})
BOOKINGS, WAITLIST = "bookings", "waitlist"


@dataclass(slots=True)
class Ticketed:
    """A booking."""

    user_id: int | None
    tickets: int
    live: bool = True


@dataclass(slots=True)
class Waiter:
    """A waitlist entry. `offer_id` and `expires_at` are its only offer's; `booked` is the booking it ended with."""

    id: str
    number: int
    user_id: int | None
    tickets: int
    status: str = "waiting"
    offer_id: str | None = None
    expires_at: str = ""
    offer_status: str | None = None
    booked: int | None = None


@dataclass(slots=True)
class Recount:
    """One event. `odd` gathers what cannot be counted, by what it is about; a reader takes it out."""

    terms: dict[str, Any] | None = None  # the facts of the last event_set row
    booked: int = 0
    offered: int = 0
    bookings: dict[str, Ticketed] = field(default_factory=dict)
    entries: dict[str, Waiter] = field(default_factory=dict)
    offers: dict[str, Waiter] = field(default_factory=dict)
    odd: list[tuple[str, str]] = field(default_factory=list)
    _queues: list[deque[Waiter]] = field(default_factory=lambda: [deque() for _ in range(SIZE_MAX)])

    @property
    def capacity(self) -> int:
        """As the host set it last."""
        return 0 if self.terms is None else int(self.terms["capacity"])

    @property
    def free(self) -> int:
        """Neither booked nor held for an offer."""
        return self.capacity - self.booked - self.offered

    @property
    def available(self) -> int:
        """What a new booking could get: nothing while somebody waits whom it would serve."""
        enabled = self.terms is not None and self.terms["waitlist_enabled"]
        return 0 if enabled and self.next_served() is not None else self.free

    def next_served(self) -> Waiter | None:
        """Who has waited longest of those who fit into what is free."""
        first: Waiter | None = None
        for queue in self._queues[: max(0, self.free)]:
            while queue and queue[0].status != "waiting":
                queue.popleft()
            if queue and (first is None or queue[0].number < first.number):
                first = queue[0]
        return first

    def may_offer(self, now: str) -> bool:
        """Whether free tickets are for who waits: the event is on sale or was, and has not started."""
        terms = self.terms
        if terms is None or not terms["waitlist_enabled"] or terms["status"] != "scheduled":
            return False
        opens_at = terms["sales_open_at"]
        running = not terms["deleted"] and not terms["sales_paused"] and now < terms["starts_at"]
        return running and (opens_at is None or opens_at <= now)

    def by_offer(self, row: Decision) -> Waiter | None:
        """Whose held tickets a confirmed row books: an open offer's, of that size and in time; else None."""
        waiter = self.entries.get(row.facts.get("entry_id", ""))
        if waiter is None or waiter.status != "offered" or row.accepted_at >= waiter.expires_at:
            return None
        return waiter if row.kind == "accept_offer" or row.tickets == waiter.tickets else None

    def step(self, row: Decision) -> None:
        """What the row says happens."""
        if row.kind == "event_set":
            self.terms = row.facts
        elif row.kind in SLICES:
            for booking_id in row.facts.get("cancelled", ()):
                self._cancel(row, booking_id)
            for entry_id in row.facts.get("ended", ()):
                self._end(row, entry_id, "expired")
        elif row.kind == "offer":
            self._offer(row)
        elif row.outcome == "confirmed":
            self._book(row)
        elif row.outcome == "cancelled":
            self._cancel(row, row.booking_id or "")
        elif row.outcome == "waitlisted":
            self._join(row)
        elif row.outcome == "done" and row.kind in ENDED_BY:
            self._end(row, row.facts.get("entry_id", ""), ENDED_BY[row.kind])

    def take_odd(self, about: str) -> Iterator[str]:
        """What could not be counted since it was last asked for."""
        found, self.odd = self.odd, []
        return (sentence for topic, sentence in found if topic == about)

    def _book(self, row: Decision) -> None:
        tickets = row.tickets or 0
        if "entry_id" in row.facts:
            taken = self.by_offer(row)
            waiter = self.entries.get(row.facts["entry_id"])
            late = waiter is not None and waiter.offer_id and row.accepted_at >= waiter.expires_at
            self._end(row, row.facts["entry_id"], "accepted" if taken else "expired" if late else "left")
            if taken is not None:
                taken.booked = tickets
        self.booked += tickets
        if row.booking_id is None or row.booking_id in self.bookings:
            self._note(BOOKINGS, row, f"makes booking {row.booking_id}, which is none or was made before")
        self.bookings[row.booking_id or row.job_id] = Ticketed(row.user_id, tickets)

    def _cancel(self, row: Decision, booking_id: str) -> None:
        booking = self.bookings.get(booking_id)
        if booking is None or not booking.live:
            self._note(BOOKINGS, row, f"cancels booking {booking_id}, which is not live")
            return
        booking.live = False
        self.booked -= booking.tickets

    def _join(self, row: Decision) -> None:
        entry_id, tickets = row.facts.get("entry_id", row.job_id), row.tickets or 0
        if entry_id in self.entries or not 1 <= tickets <= SIZE_MAX:
            self._note(
                WAITLIST, row, f"makes entry {entry_id} of {tickets}, which is none or was made before"
            )
            return
        waiter = Waiter(entry_id, row.number, row.user_id, tickets)
        self.entries[entry_id] = waiter
        self._queues[tickets - 1].append(waiter)

    def _offer(self, row: Decision) -> None:
        waiter = self.entries.get(row.facts.get("entry_id", ""))
        if waiter is None or waiter.status != "waiting" or row.tickets != waiter.tickets:
            self._note(WAITLIST, row, f"offers {row.tickets} to an entry that does not wait for so many")
            self.offered += row.tickets or 0 if waiter is None else 0
            return
        waiter.status, waiter.offer_status = "offered", "open"
        waiter.offer_id, waiter.expires_at = row.job_id, str(row.facts.get("expires_at"))
        self.offers[row.job_id] = waiter
        self.offered += waiter.tickets

    def _end(self, row: Decision, entry_id: str, status: str) -> None:
        waiter = self.entries.get(entry_id)
        if waiter is None or waiter.status not in ("waiting", "offered"):
            self._note(WAITLIST, row, f"ends entry {entry_id}, which has ended or never was")
            return
        if waiter.status == "offered":
            self.offered -= waiter.tickets
            waiter.offer_status = "declined" if status == "left" else status
        waiter.status = status

    def _note(self, about: str, row: Decision, sentence: str) -> None:
        self.odd.append((about, f"event {row.event_id}, decision {row.number} {sentence}"))
