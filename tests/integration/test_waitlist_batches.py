"""What a batch does to a waitlist on a real database: many tickets at once, one batch, the host, and the audit agrees."""

import itertools
import random
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from shared.db import transaction
from shared.domain.availability import available_tickets
from shared.domain.permissions import Actor
from shared.errors import RefusedError
from shared.ids import derived_uuid
from shared.services import events
from shared.store import batches
from tests.factories import make_users
from tests.waitlist_window import Window, windows
from worker import batch


@pytest.fixture
def open_window(settings, engine) -> Iterator[Any]:
    with windows(settings, engine) as opened:
        yield opened


@pytest.fixture
def people(engine) -> list[int]:
    return [user.id for user in make_users(engine, 12)]


class TestAvailable:
    def test_is_the_same_in_sql_and_in_python(self, engine):
        chance = random.Random(1)
        cases = []
        for _ in range(3000):
            capacity = chance.randint(0, 30)
            booked = chance.randint(0, capacity)
            offered = chance.randint(0, capacity - booked)
            waiting = [chance.choice([0, 0, 0, chance.randint(1, 5)]) for _ in range(10)]
            cases.append((capacity, booked, offered, chance.random() < 0.8, waiting))
        with engine.connect() as connection:
            statement = text("select available_tickets(:capacity, :booked, :offered, :enabled, :waiting)")
            names = ("capacity", "booked", "offered", "enabled", "waiting")
            for case in cases:
                told = connection.execute(statement, dict(zip(names, case, strict=True))).scalar_one()
                capacity, booked, offered, enabled, waiting = case
                assert told == available_tickets(
                    capacity=capacity,
                    booked=booked,
                    offered=offered,
                    waitlist_enabled=enabled,
                    waiting=waiting,
                ), case


class TestManyTicketsAtOnce:
    def test_are_worked_off_in_order_of_joining_before_anybody_who_asks_later(self, open_window, engine):
        window = open_window(capacity=1)
        window.line.stand(window.event)
        window.decide()
        window.let_wait(1000)
        window.change(capacity=501)
        late = window.line.stand(window.event, 3)
        partition = window.line.partition_of(window.event)
        made = []
        while isinstance(window.line.driver.decide(partition), int):
            made.append(len(window.offered_to()))
        assert made == [200, 400, 500]
        order = [
            row.user_id
            for row in window.query(
                "select user_id from waitlist_entries where event_id = :event order by number"
            )
        ]
        assert window.offered_to() == order[:500]
        assert {window.outcome(uuid.UUID(job_id)) for job_id in late} == {("rejected", "sold_out")}
        assert window.counters() == (1, 500, [500] + [0] * 9)
        window.assert_clean()

    def test_that_many_cancel_together_are_all_offered(self, open_window, engine):
        """Thirty bookings of ten in one batch: more offers than a transaction makes."""
        window = open_window(capacity=300)
        holders = [user.id for user in make_users(engine, 30)]
        booked = [window.ask("book", user, tickets=10) for user in holders]
        window.decide()
        window.let_wait(350)
        for user, job_id in zip(holders, booked, strict=True):
            window.ask("cancel", user, booking_id=derived_uuid(job_id, 0))
        window.decide()
        assert window.counters() == (0, 300, [50] + [0] * 9)
        rows = window.query("select kind from decisions where event_id = :event order by number")
        cancellations = [
            len(list(group)) for kind, group in itertools.groupby(row.kind for row in rows[381:])
        ]
        assert cancellations == [1, 10] * 30  # each at once, whatever transaction it was in
        window.assert_clean()

    def test_a_batch_reads_only_whom_it_could_serve(self, open_window, people):
        window = open_window(capacity=10)
        booked = window.ask("book", people[0], tickets=1)
        window.ask("book", people[1], tickets=9)
        window.decide()
        for size in (1, 2, 10):
            window.let_wait(50, size)
        read = []
        load = batches.load

        def load_and_look(*arguments: Any) -> Any:
            loaded = load(*arguments)
            read.append(len(loaded[0].entries))
            return loaded

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(batches, "load", load_and_look)
            window.ask("cancel", people[0], booking_id=derived_uuid(booked, 0))
            window.decide()
        assert read == [10 + 5 + 1]  # of 150: what one booking could free


class TestInOneBatch:
    @pytest.fixture
    def window(self, open_window, people) -> Window:
        """Two tickets; the first two people have them."""
        window = open_window(capacity=2)
        self.booked = [window.ask("book", user) for user in people[:2]]
        window.decide()
        return window

    def test_somebody_leaves_and_joins_again_at_the_end(self, window, people):
        for user in people[2:4]:
            window.ask("join_waitlist", user)
        window.decide()
        window.ask("leave_waitlist", people[2])
        window.ask("join_waitlist", people[2])
        window.ask("cancel", people[0], booking_id=derived_uuid(self.booked[0], 0))
        window.decide()
        assert window.offered_to() == [people[3]]
        rows = window.query(
            "select status from waitlist_entries where user_id = :user order by number", user=people[2]
        )
        assert [row.status for row in rows] == ["left", "waiting"]
        window.assert_clean()

    def test_somebody_joins_and_leaves_and_joins_and_leaves(self, window, people):
        for _ in range(2):
            window.ask("join_waitlist", people[2])
            window.ask("leave_waitlist", people[2])
        window.decide()
        assert window.counters() == (2, 0, [0] * 10)
        window.assert_clean()

    def test_somebody_joins_gets_an_offer_and_accepts_it(self, window, people):
        """They would have to guess its id: it follows from what stands in the ledger."""
        window.ask("join_waitlist", people[2])
        cancelled = window.ask("cancel", people[0], booking_id=derived_uuid(self.booked[0], 0))
        (row,) = window.query("select last_number from events where id = :event")
        offer_id = derived_uuid(cancelled, row.last_number + 3)
        accepted = window.ask("accept_offer", people[2], offer_id=offer_id)
        window.ask("join_waitlist", people[3])
        window.decide()
        assert window.outcome(accepted) == ("confirmed", None)
        (offer,) = window.query("select id, status, ended_at from offers where event_id = :event")
        assert (offer.id, offer.status) == (offer_id, "accepted")
        assert window.counters() == (2, 0, [1] + [0] * 9)
        window.assert_clean()

    def test_an_offer_passes_from_one_to_the_next(self, window, people):
        for user in people[2:5]:
            window.ask("join_waitlist", user)
        window.ask("cancel", people[0], booking_id=derived_uuid(self.booked[0], 0))
        window.decide()
        first = window.offer_of(people[2])
        window.ask("decline_offer", people[2], offer_id=first)
        again = window.ask("decline_offer", people[2], offer_id=first)
        stolen = window.ask("accept_offer", people[4], offer_id=first)
        window.decide()
        assert window.offered_to() == [people[2], people[3]]
        assert window.outcome(again) == ("rejected", "offer_ended")
        assert window.outcome(stolen) == ("rejected", "offer_not_found")
        window.assert_clean()


class TestTheHost:
    @pytest.fixture
    def window(self, open_window, people) -> Window:
        """Two tickets, one booked, one offered, two people wait."""
        window = open_window(capacity=2)
        booked = [window.ask("book", user) for user in people[:2]]
        for user in people[2:5]:
            window.ask("join_waitlist", user)
        window.ask("cancel", people[0], booking_id=derived_uuid(booked[0], 0))
        window.decide()
        assert window.counters() == (1, 1, [2] + [0] * 9)
        return window

    def test_may_not_hide_an_event_that_somebody_waits_for(self, open_window, people, engine):
        window = open_window(capacity=1, max_per_booking=3)
        window.ask("join_waitlist", people[0], tickets=2)
        window.decide()
        host = Actor(window.event.host_id, "host")
        with transaction(engine) as session, pytest.raises(RefusedError) as caught:
            events.delete_event(session, actor=host, event_id=window.event.id, versions=None, request_id=None)
        assert caught.value.code == "event_has_bookings"
        with pytest.raises(RefusedError) as caught:
            window.change(status="draft")
        assert (caught.value.code, caught.value.facts["waiting"]) == ("event_has_bookings", 1)
        window.ask("leave_waitlist", people[0])
        window.decide()
        window.change(status="draft")
        window.assert_clean()

    def test_may_not_take_away_what_is_offered(self, window):
        with pytest.raises(RefusedError) as caught:
            window.change(capacity=1)
        assert caught.value.code == "capacity_below_committed"

    def test_calls_off_slice_by_slice_and_everything_is_given_back(self, window, people, monkeypatch):
        monkeypatch.setattr(batch, "SLICE_SIZE", 1)
        window.change(status="cancelled")
        late = window.ask("accept_offer", people[2], offer_id=window.offer_of(people[2]))
        joins = window.ask("join_waitlist", people[5])
        window.decide()
        assert window.counters() == (0, 0, [0] * 10)
        statuses = window.query("select status from waitlist_entries where event_id = :event")
        assert {row.status for row in statuses} == {"expired"}
        (offer,) = window.query("select status from offers where event_id = :event")
        assert offer.status == "expired"
        assert window.outcome(late) == ("rejected", "offer_ended")
        assert window.outcome(joins) == ("rejected", "event_cancelled")
        slices = window.query(
            "select facts from decisions where event_id = :event and kind = 'call_off_slice'"
        )
        assert [len(row.facts["cancelled"]) for row in slices] == [1, 0, 0]
        assert [len(row.facts["ended"]) for row in slices] == [1, 1, 1]
        window.assert_clean()

    def test_switches_the_waitlist_off_and_who_waits_keeps_their_place(self, window, people):
        window.change(waitlist_enabled=False, capacity=3)
        taken = window.ask("book", people[6])
        window.decide()
        assert window.outcome(taken) == ("confirmed", None)
        window.change(waitlist_enabled=True, capacity=4)
        window.decide()
        assert window.offered_to() == people[2:4]
        window.assert_clean()

    def test_lets_fewer_book_at_once_than_somebody_waits_for(self, open_window, people):
        """Whoever waits was let in under the old terms, and is offered what they wait for."""
        window = open_window(capacity=3)
        booked = window.ask("book", people[0], tickets=3)
        window.ask("join_waitlist", people[1], tickets=3)
        window.decide()
        window.change(max_per_booking=1)
        window.ask("cancel", people[0], booking_id=derived_uuid(booked, 0))
        window.decide()
        accepted = window.ask("accept_offer", people[1], offer_id=window.offer_of(people[1]))
        window.decide()
        assert window.outcome(accepted) == ("confirmed", None)
        window.assert_clean()

    def test_moves_the_start_before_the_end_of_an_offer(self, window, people, engine):
        """The offer ends with the start: nothing is booked after it, and its end may be asked for from then on."""
        offer = window.offer_of(people[2])
        with transaction(engine) as session:
            (starts_at,) = session.execute(text("select now() + interval '1 second'")).one()
        window.change(starts_at=starts_at, ends_at=starts_at + timedelta(hours=1))
        early = window.ask("expire_offer", people[2], offer_id=offer)
        window.decide()
        assert window.outcome(early) == ("rejected", "offer_not_due")
        with transaction(engine) as session:
            session.execute(
                text("select pg_sleep(greatest(0, extract(epoch from :at - clock_timestamp())))"),
                {"at": starts_at},
            )
        late = window.ask("accept_offer", people[2], offer_id=offer)
        ends = window.ask("expire_offer", people[2], offer_id=offer)
        window.decide()
        assert window.outcome(late) == ("rejected", "event_started")
        assert window.outcome(ends) == ("done", None)
        assert window.offered_to() == [people[2]]  # nobody is offered tickets of what has begun
        window.assert_clean()


class TestATamperedJob:
    def test_cannot_accept_an_offer_for_more_tickets_than_it_has(self, open_window, people):
        window = open_window(capacity=10)
        booked = window.ask("book", people[0], tickets=10)
        window.ask("join_waitlist", people[1], tickets=1)
        window.decide()
        window.ask("cancel", people[0], booking_id=derived_uuid(booked, 0))
        window.decide()
        offer_id = window.offer_of(people[1])
        window.ask("accept_offer", people[1], tickets=9, offer_id=offer_id)
        window.decide()
        assert window.counters()[:2] == (0, 1)
        assert (
            window.query("select from decisions where kind = 'accept_offer'") == []
        )  # set aside as unreadable
        window.ask("accept_offer", people[1], offer_id=offer_id)
        window.decide()
        assert window.counters()[:2] == (1, 0)
