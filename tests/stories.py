"""What may happen to events and people over some weeks, at random: for figures that must come out right whatever does."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, select, text

from shared.clock import utc_now
from shared.db import transaction
from shared.models import Booking, Event, Offer, OutboxMessage
from shared.services.event_ledger import append_event_set, lock_event
from shared.store.clock import read_clock
from shared.store.impressions import add_impressions
from tests.analytics import drain, tell, today
from tests.factories import make_event, make_user, make_users
from tests.standing import StandingLine


class Story:
    """People, events and days, at random: a day is over whenever the story says so."""

    def __init__(self, seed: int, engine: Engine, line: StandingLine, tamper: Callable[..., None]) -> None:
        self.random = random.Random(seed)
        self.engine, self.line, self.tamper = engine, line, tamper
        self.users = [user.id for user in make_users(engine, 10)]
        self.host = make_user(engine, role="host")
        self.events: list[Event] = []
        self.dated: Counter[int] = Counter()  # event → the last row that was moved to the story's day
        self.looks: Counter[tuple[int, str]] = Counter()
        self.days_ago = 70

    def run(self, steps: int) -> None:
        verbs = [self.book] * 6 + [self.cancel] * 3 + [self.wait] * 3 + [self.answer, self.change] * 2
        verbs += [self.look, self.make, self.roll_up]
        verbs *= 2
        for _ in range(3):
            self.make()
        for _ in range(steps):
            self.random.choice([*verbs, self.call_off, *[self.next_day] * 3])()
        self.roll_up(everything=True)

    def make(self) -> None:
        if len(self.events) < 4:
            price, currency = self.random.choice([(0, "EUR"), (1250, "EUR"), (900, "JPY")])
            starts_at = utc_now() + timedelta(days=self.random.randint(20, 40))
            event = make_event(
                self.engine,
                host=self.host,
                capacity=6,
                price_minor=price,
                currency=currency,
                starts_at=starts_at,
            )
            self.events.append(event)
            self._decided()

    def book(self) -> None:
        for _ in range(self.random.randint(1, 4)):
            event, user = self.random.choice(self.events), self.random.choice(self.users)
            self.line.stand_as(event, [user], tickets=self.random.randint(1, 3))
        self._decided()

    def cancel(self) -> None:
        with transaction(self.engine) as session:
            bookings = list(session.scalars(select(Booking).order_by(Booking.status.desc(), Booking.id)))[:12]
        for booking in self.random.sample(bookings, min(len(bookings), 2)):
            event = next(event for event in self.events if event.id == booking.event_id)
            self.line.stand_as(
                event, [booking.user_id], kind="cancel", booking_id=booking.id, tickets=None, acting_as="host"
            )
        self._decided()

    def wait(self) -> None:
        """Somebody goes on the waitlist, or leaves it."""
        event, user = self.random.choice(self.events), self.random.choice(self.users)
        kind = self.random.choice(["join_waitlist", "join_waitlist", "book", "leave_waitlist"])
        tickets = None if kind == "leave_waitlist" else self.random.randint(1, 3)
        self.line.stand_as(event, [user], kind=kind, tickets=tickets, waitlist=kind == "book")
        self._decided()

    def answer(self) -> None:
        """An open offer is accepted, declined, or ends."""
        with transaction(self.engine) as session:
            offers = list(session.scalars(select(Offer).where(Offer.status == "open").order_by(Offer.id)))
        for offer in offers[:1]:
            event = next(event for event in self.events if event.id == offer.event_id)
            kind = self.random.choice(["accept_offer", "accept_offer", "decline_offer", "expire_offer"])
            self.line.stand_as(
                event,
                [offer.user_id],
                kind=kind,
                offer_id=offer.id,
                tickets=None,
                is_control=kind == "expire_offer",
            )
        self._decided()

    def change(self) -> None:
        changes: dict[str, Any] = {
            "price_minor": self.random.choice([0, 700, 10**12]),
            "currency": self.random.choice(["EUR", "USD"]),
            "starts_at": utc_now() + timedelta(days=self.random.randint(20, 40)),
            "capacity": self.random.randint(5, 12),
            "status": self.random.choice(["scheduled", "scheduled", "draft"]),
        }
        event, name = self.random.choice(self.events), self.random.choice(list(changes))
        if not self.called_off(event):
            self._set(event, **{name: changes[name]})
        self._decided()

    def called_off(self, event: Event) -> bool:
        with transaction(self.engine) as session:
            return session.scalar(select(Event.status).where(Event.id == event.id)) == "cancelled"

    def call_off(self) -> None:
        event = self.random.choice(self.events)
        self._set(event, status="cancelled")
        self.line.stand_as(event, [self.host.id], kind="call_off", tickets=None, is_control=True)
        self._decided()

    def look(self) -> None:
        counts = {event.id: self.random.randint(1, 5) for event in self.random.sample(self.events, 1)}
        with transaction(self.engine) as session:
            assert add_impressions(session, counts) == set(counts)
            session.execute(
                text(
                    "update outbox set created_at = created_at - make_interval(days => :days) where id ="
                    " (select max(id) from outbox)"
                ),
                {"days": self.days_ago},
            )
        day = (today(self.engine) - timedelta(days=self.days_ago)).isoformat()
        self.looks.update({(event_id, day): count for event_id, count in counts.items()})

    def next_day(self) -> None:
        self.days_ago -= self.random.randint(1, 9) if self.days_ago > 9 else 0

    def roll_up(self, *, everything: bool = False) -> None:
        """Some of the messages, in any order."""
        with transaction(self.engine) as session:
            ids = list(session.scalars(select(OutboxMessage.id)))
        self.random.shuffle(ids)
        some = ids if everything else ids[: self.random.randint(0, len(ids))]
        for start in range(0, len(some), 3):
            drain(self.engine, some[start : start + 3])

    def _set(self, event: Event, **changes: Any) -> None:
        with transaction(self.engine) as session:
            locked = lock_event(session, event.id)
            assert locked is not None
            for name, value in changes.items():
                if name == "starts_at":
                    locked.sales_close_at = locked.ends_at = value
                if name == "capacity":
                    value = max(value, locked.booked + locked.offered)  # noqa: PLW2901 - never below that
                setattr(locked, name, value)
            append_event_set(session, locked, actor_id=self.host.id, now=read_clock(session))

    def _decided(self) -> None:
        """Decides what waits, as if it were the story's day; the outbox tells of it, now and then twice."""
        self.line.decide_all()
        for event in self.events:
            with transaction(self.engine) as session:
                head = session.scalar(select(Event.last_number).where(Event.id == event.id))
            after = self.dated[event.id]
            if head > after:
                self.tamper(
                    "update decisions set decided_at = decided_at - make_interval(days => :days)"
                    " where event_id = :event and number > :after",
                    days=self.days_ago,
                    event=event.id,
                    after=after,
                )
                if self.random.random() < 0.2:
                    tell(self.engine, event.id, head, after=after)
                self.dated[event.id] = head
