"""Roll-ups say exactly what ledger and bookings say, whatever happened, in whatever order it was told."""

import contextlib
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from api.impressions import ImpressionCounter
from shared.clock import utc_now
from shared.db import transaction
from shared.domain.analytics import Rolled, Span
from shared.models import Booking, Event, OutboxMessage
from shared.services import analytics, outbox
from shared.services.analytics import catch_up, roll_up_messages, roll_up_registrations
from shared.services.event_ledger import append_event_set, lock_event
from shared.services.line import LineClient
from shared.services.line_gate import LineGate
from shared.services.outbox import Message
from shared.store.analytics_ledger import read_ledger
from shared.store.analytics_tables import note_heads
from shared.store.clock import read_clock
from shared.store.impressions import add_impressions
from tests.analytics import days_ago, drain, naive, rolled, tell, today
from tests.factories import make_event, make_user, make_users
from tests.ledgers import TruthfulLedger, add_users
from tests.standing import StandingLine
from worker.compose import make_handlers
from worker.schedule import Schedule


class Story:
    """People, events and days, at random: a day is over whenever the story says so."""

    def __init__(self, seed: int, engine: Engine, line: StandingLine, tamper: Callable[..., None]) -> None:
        self.random = random.Random(seed)
        self.engine, self.line, self.tamper = engine, line, tamper
        self.users = [user.id for user in make_users(engine, 6)]
        self.host = make_user(engine, role="host")
        self.events: list[Event] = []
        self.told: Counter[int] = Counter()
        self.looks: Counter[tuple[int, str]] = Counter()
        self.days_ago = 70

    def run(self, steps: int) -> None:
        verbs = [self.book] * 6 + [self.cancel] * 3 + [self.change] * 2 + [self.look, self.make, self.roll_up]
        self.make()
        for _ in range(steps):
            self.random.choice([*verbs, self.call_off, self.next_day])()
        self.roll_up(everything=True)

    def make(self) -> None:
        if len(self.events) < 4:
            price, currency = self.random.choice([(0, "EUR"), (1250, "EUR"), (900, "JPY")])
            starts_at = utc_now() + timedelta(days=self.random.randint(20, 40))
            event = make_event(
                self.engine,
                host=self.host,
                capacity=9,
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
            bookings = list(session.scalars(select(Booking).order_by(Booking.id)))
        for booking in self.random.sample(bookings, min(len(bookings), 2)):
            event = next(event for event in self.events if event.id == booking.event_id)
            self.line.stand_as(
                event, [booking.user_id], kind="cancel", booking_id=booking.id, tickets=None, acting_as="host"
            )
        self._decided()

    def change(self) -> None:
        changes: dict[str, Any] = {
            "price_minor": self.random.choice([0, 700, 10**12]),
            "currency": self.random.choice(["EUR", "USD"]),
            "starts_at": utc_now() + timedelta(days=self.random.randint(20, 40)),
            "capacity": self.random.randint(18, 30),
            "status": self.random.choice(["scheduled", "draft"]),
        }
        name = self.random.choice(list(changes))
        self._set(self.random.choice(self.events), **{name: changes[name]})
        self._decided()

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
                setattr(locked, name, value)
            append_event_set(session, locked, actor_id=self.host.id, now=read_clock(session))

    def _decided(self) -> None:
        """Decides what waits, as if it were the story's day; messages tell of it, some of them twice."""
        self.line.decide_all()
        for event in self.events:
            with transaction(self.engine) as session:
                head = session.scalar(select(Event.last_number).where(Event.id == event.id))
            after = self.told[event.id]
            if head > after:
                self.tamper(
                    "update decisions set decided_at = decided_at - make_interval(days => :days)"
                    " where event_id = :event and number > :after",
                    days=self.days_ago,
                    event=event.id,
                    after=after,
                )
                tell(self.engine, event.id, head, after=after)
                if self.random.random() < 0.2:
                    tell(self.engine, event.id, head, after=after)
                self.told[event.id] = head


@pytest.fixture
def story(engine, line, tamper) -> Callable[[int], Story]:
    return lambda seed: Story(seed, engine, line, tamper)


class TestRollUps:
    @pytest.mark.parametrize("seed", range(12))
    def test_are_what_ledger_and_bookings_say(self, story, engine, seed):
        told = story(seed)
        told.run(60)
        assert rolled(engine) == naive(engine, told.looks)

    @pytest.mark.parametrize("seed", range(3))
    def test_come_to_the_same_when_no_message_told_of_anything(self, story, engine, seed):
        """What was decided before there were roll-ups."""
        told = story(seed)
        told.roll_up = lambda **_: None
        told.run(60)
        assert rolled(engine)["event_days"] == {}
        while catch_up(engine):
            pass
        assert rolled(engine) == naive(engine)


@pytest.fixture
def ledger(engine) -> TruthfulLedger:
    """Event 7: nine rows, four bookings made, one of them cancelled."""
    users = add_users(engine, 6)
    ledger = TruthfulLedger(event_id=7, host_id=users[0], capacity=20)
    first = ledger.book(users[1], 2)
    for user in users[2:5]:
        ledger.book(user)
    ledger.book(users[5], 9)  # too many
    ledger.cancel(users[1], first.booking_id)
    ledger.set_event(capacity=25)
    ledger.book(users[1])
    ledger.write(engine)
    return ledger


class TestExactlyOnce:
    def test_whatever_messages_say_twice_or_in_the_wrong_order(self, engine, ledger):
        tell(engine, 7, 4, after=2)
        tell(engine, 7, 9, after=4)
        tell(engine, 7, 2)
        tell(engine, 7, 9)
        with transaction(engine) as session:
            ids = list(session.scalars(select(OutboxMessage.id).order_by(OutboxMessage.id)))
        for message_id in (ids[1], ids[3], ids[0], ids[2]):
            drain(engine, [message_id])
        assert rolled(engine) == naive(engine)
        assert rolled(engine)["event_totals"][7,]["bookings"] == 5

    def test_when_the_drain_dies_between_counting_and_its_commit(self, engine, ledger):
        tell(engine, 7, 9)

        def count_and_die(session: Session, messages: Sequence[Message]) -> None:
            roll_up_messages(session, messages)
            pid = session.scalar(text("select pg_backend_pid()"))
            with engine.begin() as another:
                another.execute(text("select pg_terminate_backend(:pid)"), {"pid": pid})

        with pytest.raises(OperationalError):
            outbox.drain_once(engine, [count_and_die])
        assert rolled(engine)["event_totals"] == {}
        assert outbox.drain_once(engine, make_handlers()) == 1
        assert outbox.drain_once(engine, make_handlers()) == 0
        assert rolled(engine) == naive(engine)

    @pytest.mark.parametrize("guarded", [False, True])
    def test_when_two_count_at_once(self, engine, ledger, monkeypatch, guarded):
        """Without the lock both count the same rows."""
        both = threading.Barrier(2, timeout=2)

        def read_when_both_are_here(session: Session, spans: Sequence[Span]) -> Rolled:
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait()
            return read_ledger(session, spans)

        monkeypatch.setattr(analytics, "read_ledger", read_when_both_are_here)
        if not guarded:
            monkeypatch.setattr(analytics, "lock_roll_ups", lambda _session: None)
        with transaction(engine) as session:
            note_heads(session, {7: 9})
        with ThreadPoolExecutor(2) as threads:
            for turn in [threads.submit(catch_up, engine) for _ in range(2)]:
                turn.result()
        assert (rolled(engine)["event_days"] == naive(engine)["event_days"]) is guarded

    def test_when_there_is_more_than_one_turn_may_count(self, engine, ledger, monkeypatch):
        monkeypatch.setattr(analytics, "ROWS_MAX", 4)
        tell(engine, 7, 9)
        drain(engine)
        assert rolled(engine)["event_totals"][7,]["counted_number"] == 4
        turns = 0
        while catch_up(engine):
            turns += 1
        assert rolled(engine) == naive(engine)
        assert turns == 3  # two for the rest, one for a walk through all events


class TestLooks:
    def test_count_on_the_day_on_which_they_are_written(self, engine):
        events = [make_event(engine) for _ in range(2)]
        counter = ImpressionCounter(engine)
        for event in (events[0], events[0], events[1]):
            counter.count(event.id)
        counter.close()
        drain(engine)
        day = today(engine).isoformat()
        looks = Counter({(events[0].id, day): 2, (events[1].id, day): 1})
        assert rolled(engine) == naive(engine, looks)
        drain(engine)
        assert rolled(engine)["day_totals"][day,]["impressions"] == 3

    def test_are_told_when_they_are_added_and_not_before(self, engine):
        """An event that a worker has locked gets its looks later: then they count, once."""
        event, other = make_event(engine), make_event(engine)
        counter = ImpressionCounter(engine)
        for each in (event, other):
            counter.count(each.id)
        with transaction(engine) as session:
            lock_event(session, event.id)
            counter.flush()
        drain(engine)
        assert set(rolled(engine)["event_days"]) == {(other.id, today(engine).isoformat())}
        counter.close()
        drain(engine)
        assert [row["impressions"] for row in rolled(engine)["event_days"].values()] == [1, 1]


class TestRegistrations:
    def test_are_those_of_each_day_closed_accounts_too(self, engine):
        add_users(engine, 5)
        roll_up_registrations(engine)
        with transaction(engine) as session:
            session.execute(
                text(
                    "update users set created_at = now() - interval '3 days' where id in (select min(id) from users)"
                )
            )
            session.execute(
                text("update users set deleted_at = now() where id in (select max(id) from users)")
            )
            session.execute(text("update analytics_state set registrations_to = null"))
        add_users(engine, 1)
        for _ in range(2):
            roll_up_registrations(engine)
        with transaction(engine) as session:
            rows = session.execute(text("select day, registrations from day_totals order by day")).all()
        assert [tuple(row) for row in rows] == [(days_ago(engine, 3), 1), (today(engine), 5)]

    def test_of_yesterday_are_counted_again(self, engine):
        """Somebody's registration may have begun before midnight."""
        roll_up_registrations(engine)
        add_users(engine, 1)
        with transaction(engine) as session:
            session.execute(text("update users set created_at = now() - interval '1 day'"))
        roll_up_registrations(engine)
        with transaction(engine) as session:
            assert session.execute(text("select day, registrations from day_totals")).all() == [
                (days_ago(engine, 1), 1)
            ]


def test_the_schedule_counts_what_nobody_told(engine, settings, redis_client, ledger):
    line = LineClient(settings, redis_client, LineGate(settings, engine, redis_client))
    ran = Schedule(settings, engine, line, redis_client, handlers=make_handlers()).run_once()
    line.runner.close()
    assert {"drain_outbox", "catch_up_analytics", "count_registrations"} <= set(ran)
    assert rolled(engine) == naive(engine)
