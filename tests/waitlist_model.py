"""What an event with a waitlist must do, said as naively as possible: lists, sums and loops, and none of our own code.

Everything is counted afresh whenever it is asked for; nothing is kept that could be wrong. Only the input is shared
with the real thing: requests.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any


@dataclass
class Ticketed:
    """A booking: live until it is cancelled. `made_by` is the job id of its request."""

    made_by: Any
    user: int
    tickets: int
    live: bool = True


@dataclass
class Waiter:
    """A place on the waitlist, in the order of the list it stands in."""

    made_by: Any
    user: int
    tickets: int
    status: str = "waiting"  # offered, accepted, declined, expired, left
    expires_at: datetime | None = None  # of its offer
    offer_status: str | None = None


@dataclass
class Model:
    """One event. `story` is what happened, in order: decisions and offers."""

    capacity: int
    max_per_booking: int
    starts_at: datetime
    sales_open_at: datetime | None
    sales_close_at: datetime
    status: str = "scheduled"
    deleted: bool = False
    sales_paused: bool = False
    waitlist_enabled: bool = True
    lifetime: timedelta = timedelta(hours=1)
    cancel_until: timedelta = timedelta(hours=24)
    closed: set[int] = field(default_factory=set)
    drained: tuple[int, datetime] | None = None  # up to which arrival, accepted until when
    bookings: list[Ticketed] = field(default_factory=list)
    waitlist: list[Waiter] = field(default_factory=list)
    story: list[tuple[Any, ...]] = field(default_factory=list)
    arrivals: int = 0

    # what there is

    def booked(self) -> int:
        return sum(one.tickets for one in self.bookings if one.live)

    def offered(self) -> int:
        return sum(one.tickets for one in self.waitlist if one.status == "offered")

    def free(self) -> int:
        return self.capacity - self.booked() - self.offered()

    def who_fits(self) -> list[Waiter]:
        return [one for one in self.waitlist if one.status == "waiting" and one.tickets <= self.free()]

    def available(self) -> int:
        return 0 if self.waitlist_enabled and self.who_fits() else self.free()

    def place_of(self, user: int) -> Waiter | None:
        live = [one for one in self.waitlist if one.user == user and one.status in ("waiting", "offered")]
        assert len(live) <= 1
        return live[0] if live else None

    def booking_of(self, user: int) -> Ticketed | None:
        live = [one for one in self.bookings if one.user == user and one.live]
        assert len(live) <= 1
        return live[0] if live else None

    # what happens

    def may_offer(self, now: datetime) -> bool:
        """While the event is to take place and its sale was not stopped."""
        opened = self.sales_open_at is None or self.sales_open_at <= now
        sold = self.status == "scheduled" and not self.deleted and not self.sales_paused
        return self.waitlist_enabled and sold and opened and now < self.starts_at

    def serve(self, now: datetime) -> None:
        """The longest waiting of those who fit, again and again."""
        while self.may_offer(now) and self.who_fits():
            first = self.who_fits()[0]
            first.status, first.offer_status = "offered", "open"
            first.expires_at = min(now + self.lifetime, self.starts_at)
            self.story.append(("offer", first.made_by, first.user, first.tickets, first.expires_at))

    def decide(self, request: Any, now: datetime) -> None:
        """Serves, decides, serves."""
        self.serve(now)
        self.arrivals += 1
        outcome, reason = self.judge(request, now)
        self.story.append(("decision", request.job_id, outcome, reason))
        self.serve(now)

    def fail(self, request: Any) -> None:
        """A request that is set aside: its number is used up, and that is all."""
        self.arrivals += 1
        self.story.append(("decision", request.job_id, "failed", "request_failed"))

    def call_off(self, request: Any) -> None:
        """Everything is given back."""
        self.arrivals += 1
        for booking in self.bookings:
            booking.live = False
        for one in self.waitlist:
            if one.status in ("waiting", "offered"):
                self.end(one, "expired")
        self.story.append(("decision", request.job_id, "done", None))

    def judge(self, request: Any, now: datetime) -> tuple[str, str | None]:
        if request.kind in ("book", "join_waitlist"):
            if request.withdrawn:
                return "withdrawn", "withdrawn_by_user"
            if self.drained and self.arrivals <= self.drained[0] and request.accepted_at <= self.drained[1]:
                return "withdrawn", "withdrawn_by_admin"
        if request.kind == "serve_waitlist":
            return "done", None
        return getattr(self, request.kind)(request, now)

    def no_sale(self, request: Any) -> str | None:
        at = request.accepted_at
        if self.deleted or self.status == "draft":
            return "event_not_found"
        if self.status == "cancelled":
            return "event_cancelled"
        if self.sales_paused:
            return "sales_paused"
        if self.sales_open_at and at < self.sales_open_at:
            return "sales_not_open"
        return "sales_closed" if at >= self.sales_close_at else None

    def no_event(self, now: datetime) -> str | None:
        if self.deleted or self.status == "draft":
            return "event_not_found"
        if self.status == "cancelled":
            return "event_cancelled"
        return "event_started" if now >= self.starts_at else None

    def no_tickets(self, request: Any, now: datetime) -> str | None:
        if request.user_id in self.closed:
            return "account_closed"
        if reason := self.no_sale(request) or self.no_event(now):
            return reason
        if request.tickets > self.max_per_booking:
            return "too_many_tickets"
        return "already_booked" if self.booking_of(request.user_id) else None

    def book(self, request: Any, now: datetime) -> tuple[str, str | None]:
        place = self.place_of(request.user_id)
        if place and place.status == "offered" and place.tickets == request.tickets:
            in_time = request.accepted_at < place.expires_at
            if in_time and request.user_id not in self.closed and not self.no_event(now):
                return self.sell(request, place.tickets, place, "accepted")
        if reason := self.no_tickets(request, now):
            return "rejected", reason
        if request.tickets <= self.available():
            late = place and place.expires_at and request.accepted_at >= place.expires_at
            return self.sell(request, request.tickets, place, "expired" if late else "left")
        if request.waitlist and self.waitlist_enabled:
            return ("rejected", "already_waiting") if place else self.wait(request)
        return "rejected", "not_enough_left" if self.available() else "sold_out"

    def sell(self, request: Any, tickets: int, place: Waiter | None, ends: str) -> tuple[str, str | None]:
        if place:
            self.end(place, ends)
        self.bookings.append(Ticketed(request.job_id, request.user_id, tickets))
        return "confirmed", None

    def wait(self, request: Any) -> tuple[str, str | None]:
        self.waitlist.append(Waiter(request.job_id, request.user_id, request.tickets))
        return "waitlisted", None

    def end(self, place: Waiter, status: str) -> None:
        if place.status == "offered":
            place.offer_status = "declined" if status == "left" else status
        place.status = status

    def cancel(self, request: Any, now: datetime) -> tuple[str, str | None]:
        del now
        found = [one for one in self.bookings if request.of == one.made_by]
        if not found or (request.acting_as in ("owner", "account") and found[0].user != request.user_id):
            return "rejected", "booking_not_found"
        if not found[0].live:
            return "rejected", "already_cancelled"
        if request.acting_as == "owner" and request.accepted_at >= self.starts_at - self.cancel_until:
            return "rejected", "cancellation_closed"
        found[0].live = False
        return "cancelled", None

    def join_waitlist(self, request: Any, now: datetime) -> tuple[str, str | None]:
        if reason := self.no_tickets(request, now):
            return "rejected", reason
        if not self.waitlist_enabled:
            return "rejected", "waitlist_disabled"
        if self.place_of(request.user_id):
            return "rejected", "already_waiting"
        return (
            ("rejected", "tickets_available") if request.tickets <= self.available() else self.wait(request)
        )

    def leave_waitlist(self, request: Any, now: datetime) -> tuple[str, str | None]:
        del now
        place = self.place_of(request.user_id)
        if not place:
            return "rejected", "not_waiting"
        self.end(place, "left")
        return "done", None

    def offer_to(self, request: Any) -> tuple[Waiter | None, str | None]:
        """The waiter whose open offer the request is about, or why there is none."""
        mine = [one for one in self.waitlist if one.user == request.user_id and one.offer_status]
        found = [one for one in mine if one.made_by == request.of]
        if not found:
            return None, "offer_not_found"
        return (found[0], None) if found[0].status == "offered" else (None, "offer_ended")

    def accept_offer(self, request: Any, now: datetime) -> tuple[str, str | None]:
        place, reason = self.offer_to(request)
        if place is None:
            return "rejected", reason
        if request.user_id in self.closed:
            return "rejected", "account_closed"
        if reason := self.no_event(now):
            return "rejected", reason
        if place.expires_at is None or request.accepted_at >= place.expires_at:
            return "rejected", "offer_expired"
        return self.sell(request, place.tickets, place, "accepted")

    def decline_offer(self, request: Any, now: datetime) -> tuple[str, str | None]:
        del now
        place, reason = self.offer_to(request)
        if place is None:
            return "rejected", reason
        self.end(place, "declined")
        return "done", None

    def expire_offer(self, request: Any, now: datetime) -> tuple[str, str | None]:
        place, reason = self.offer_to(request)
        if place is None:
            return "rejected", reason
        if now < self.starts_at and place.expires_at and request.accepted_at < place.expires_at:
            return "rejected", "offer_not_due"
        self.end(place, "expired")
        return "done", None

    def work_off(self, line: Sequence[Any], now: datetime, failing: set[Any]) -> None:
        for request in line:
            if request.job_id in failing:
                self.fail(request)
            else:
                self.decide(request, now)
