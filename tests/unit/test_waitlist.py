"""Serving the waitlist: what a request frees goes to who waits in the same transaction, and transactions stay short."""

import copy
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain import waitlist
from shared.domain.allocation import decide
from shared.domain.availability import available_tickets, smallest_waiting
from shared.domain.requests import Request
from shared.domain.snapshot import Plan
from shared.ids import derived_uuid
from tests.snapshots import NOW, Database, event_state, request, snapshot_of


def offered_to(database: Database) -> list[int | None]:
    """Whom offers were made to, in order."""
    return [row.user_id for row in database.rows if row.kind == "offer"]


def joins(*users: int, tickets: int = 1) -> list[Request]:
    return [request(kind="join_waitlist", user_id=user, tickets=tickets) for user in users]


def books(user_id: int, tickets: int, **fields) -> Request:
    return request(user_id=user_id, tickets=tickets, **fields)


def cancels(booking: Request) -> Request:
    return request(kind="cancel", user_id=booking.user_id, booking_id=derived_uuid(booking.job_id, 0))


def offer_of(database: Database, user_id: int) -> uuid.UUID:
    return next(row.job_id for row in database.rows if row.kind == "offer" and row.user_id == user_id)


class TestWhatARequestFrees:
    """Nobody may ask for anything afterwards: what is not offered at once would lie idle."""

    def test_is_offered_though_the_transaction_has_made_its_offers(self, monkeypatch):
        monkeypatch.setattr(waitlist, "OFFERS_MAX", 2)
        first, second = books(1, 3), books(2, 3)
        database = Database({1: event_state(capacity=6)})
        database.decide([first, second, *joins(*range(10, 20))], NOW)
        database.decide([cancels(first), cancels(second)], NOW)
        assert offered_to(database) == [10, 11, 12, 13, 14, 15]

    def test_is_offered_when_a_book_gives_up_a_larger_offer(self):
        first = books(1, 4)
        database = Database({1: event_state(capacity=5)})
        database.decide([first, *joins(2, tickets=4), *joins(3, 4, 5, 6, tickets=2)], NOW)
        assert offered_to(database) == []
        database.decide([cancels(first)], NOW)
        database.decide([books(2, 1)], NOW)
        assert offered_to(database) == [2, 3, 4]
        assert database.events[1].available == 0

    def test_is_offered_when_those_who_waited_longest_have_booked_less(self):
        """Two who wait book what nobody else fits into; whom a cancellation then serves stood behind them."""
        first = books(1, 8)
        database = Database({1: event_state(capacity=10, max_per_booking=10)})
        database.decide([first, *joins(2, 3, 4, 5, tickets=3)], NOW)
        database.decide([books(2, 1), books(3, 1), cancels(first)], NOW)
        assert offered_to(database) == [4, 5]

    def test_is_offered_when_two_give_up_more_than_one_booking_can_free(self):
        first = books(1, 10)
        database = Database({1: event_state(capacity=20, max_per_booking=10)})
        second = books(9, 10)
        database.decide([first, second, *joins(2, 3, tickets=9), *joins(*range(20, 30), tickets=3)], NOW)
        database.decide([cancels(first), cancels(second)], NOW)
        assert offered_to(database) == [2, 3]
        database.decide([books(2, 1), books(3, 1)], NOW)
        assert offered_to(database) == [2, 3, *range(20, 26)]

    def test_is_offered_after_each_of_many_cancellations_in_one_batch(self):
        bookings = [books(user, 2) for user in range(1, 31)]
        database = Database({1: event_state(capacity=60)})
        database.decide([*bookings, *joins(*range(100, 180))], NOW)
        singly = copy.deepcopy(database)
        cancellations = [cancels(one) for one in bookings]
        database.decide(cancellations, NOW)
        for one in cancellations:
            singly.decide([one], NOW)
        assert offered_to(database) == list(range(100, 160))
        assert database.rows == singly.rows


class TestOffer:
    def test_holds_its_tickets_for_an_hour_and_never_after_the_start(self):
        for starts_in, holds in (
            (timedelta(minutes=30), timedelta(minutes=30)),
            (timedelta(days=1), timedelta(hours=1)),
        ):
            booking = books(1, 1)
            database = Database({1: event_state(capacity=1, starts_at=NOW + starts_in)})
            database.decide([booking, *joins(2)], NOW)
            database.decide([replace(cancels(booking), acting_as="host")], NOW)
            (entry,) = database.entries.values()
            assert entry.offer is not None
            assert entry.offer.expires_at == NOW + holds


class TestTransaction:
    def test_ends_when_it_has_made_its_offers_and_the_request_waits_for_the_rest(self, monkeypatch):
        monkeypatch.setattr(waitlist, "OFFERS_MAX", 3)
        database = Database({1: event_state(capacity=1)})
        database.decide([books(1, 1), *joins(*range(10, 20))], NOW)
        database.set_event(1, NOW, capacity=9)
        latest = books(99, 1)
        database.decide([latest], NOW)
        assert offered_to(database) == list(range(10, 18))
        assert [row.job_id for row in database.rows][-1] == latest.job_id  # after everybody who waits
        causes = {row.facts["cause"] for row in database.rows if row.kind == "offer"}
        assert causes == {str(latest.job_id)}

    def test_ends_after_a_request_that_has_filled_it(self, monkeypatch):
        monkeypatch.setattr(waitlist, "OFFERS_MAX", 1)
        bookings = [books(user, 1) for user in (1, 2)]
        database = Database({1: event_state(capacity=2)})
        database.decide([*bookings, *joins(10, 11)], NOW)
        cancellations = [cancels(one) for one in bookings]
        plan = decide(database.load(cancellations), cancellations, NOW)
        assert [decided.request for decided in plan.decided] == cancellations[:1]
        assert plan.undecided == cancellations[1:]

    def test_waits_for_a_fresh_snapshot_when_whom_to_serve_was_not_loaded(self):
        event = event_state(capacity=2, booked=1, waiting=[3] + [0] * 9)
        snapshot = snapshot_of(event)
        snapshot.queues[1][0].complete = False
        leave = request(kind="leave_waitlist")
        with pytest.raises(waitlist.UnloadedError):
            decide(snapshot, [leave, leave], NOW)

    def test_leaves_the_rest_when_it_cannot_tell_whom_to_serve_after_a_request(self):
        booking = books(1, 1)
        database = Database({1: event_state(capacity=1)})
        database.decide([booking, *joins(2)], NOW)
        line = [cancels(booking), books(3, 1)]
        snapshot = database.load(line)
        snapshot.queues[1][0].entries.clear()  # as if less had been loaded than was wanted
        plan = decide(snapshot, line, NOW)
        assert [decided.request for decided in plan.decided] == line[:1]
        assert plan.undecided == line[1:]


class TestBookingBesideAnOffer:
    @pytest.fixture
    def database(self) -> Database:
        """User 2 has an offer of two tickets for an hour; two more are free."""
        booking = books(1, 2)
        database = Database({1: event_state(capacity=2)})
        database.decide([booking, *joins(2, tickets=2), cancels(booking)], NOW)
        database.set_event(1, NOW, capacity=4)
        assert offered_to(database) == [2]
        return database

    def end_of(self, database: Database) -> tuple[str, str]:
        entry = next(one for one in database.entries.values() if one.user_id == 2)
        assert entry.offer is not None
        return entry.status, entry.offer.status

    def test_of_its_size_accepts_it(self, database):
        database.decide([books(2, 2)], NOW)
        assert self.end_of(database) == ("accepted", "accepted")
        assert database.events[1].available == 2

    def test_of_another_size_gives_it_up(self, database):
        database.decide([books(2, 1)], NOW)
        assert self.end_of(database) == ("left", "declined")
        assert database.events[1].available == 3

    def test_after_its_time_books_other_tickets_and_it_expires(self, database):
        late = NOW + timedelta(hours=1)
        database.decide([books(2, 2, accepted_at=late)], late)
        assert database.rows[-1].outcome == "confirmed"
        assert self.end_of(database) == ("expired", "expired")
        assert database.events[1].available == 2

    def test_after_its_time_gets_nothing_of_it(self, database):
        late = NOW + timedelta(hours=1)
        database.decide([books(3, 2), books(2, 2, accepted_at=late)], late)
        assert database.rows[-1].reason == "sold_out"
        assert self.end_of(database) == ("offered", "open")


class TestABoundedLook:
    """A batch has the oldest of each size, and those who ask: nobody may be served in between."""

    @pytest.fixture
    def database(self) -> Database:
        """Thirty people wait for the only ticket."""
        self.booking = books(1, 1)
        database = Database({1: event_state(capacity=1)})
        database.decide([self.booking, *joins(*range(10, 40))], NOW)
        return database

    def test_loads_as_many_as_the_batch_could_serve(self, database):
        line = [cancels(self.booking)]
        snapshot = database.load(line)
        assert [entry.user_id for entry in snapshot.queues[1][0].entries] == list(range(10, 20))
        assert not snapshot.queues[1][0].complete

    def test_loads_nobody_when_nothing_is_freed(self, database):
        assert database.load([request(kind="serve_waitlist")]).entries == {}

    def test_leaves_out_of_the_queue_who_asks_from_far_behind(self, database):
        snapshot = database.load([cancels(self.booking), request(user_id=39)])
        assert (1, 39) in snapshot.entries
        assert 39 not in {entry.user_id for entry in snapshot.queues[1][0].entries}

    def test_puts_who_joins_behind_those_who_were_not_loaded(self, database):
        database.decide([cancels(self.booking), *joins(50)], NOW)
        database.set_event(1, NOW, capacity=40)
        database.decide([request(kind="serve_waitlist")], NOW)
        assert offered_to(database) == [*range(10, 40), 50]

    def test_does_not_line_up_who_joins_right_behind_the_last_that_was_loaded(self, database):
        line = [*joins(50), cancels(self.booking)]
        snapshot = database.load(line)
        decide(snapshot, line[:1], NOW)
        assert (1, 50) in snapshot.entries
        assert [entry.user_id for entry in snapshot.queues[1][0].entries] == list(range(10, 20))

    def test_has_everybody_of_a_short_queue(self, database):
        snapshot = database.load([request(kind="leave_waitlist", user_id=user) for user in (10, 11, 12)])
        assert snapshot.queues[1][0].complete
        assert snapshot.queues[1][1].complete  # nobody waits for two


class TestJoin:
    @pytest.mark.parametrize("missing", ["user_id", "tickets"])
    def test_needs_a_user_and_tickets(self, missing):
        database = Database({1: event_state(capacity=1)})
        database.decide([books(1, 1), *joins(2)], NOW)
        row = replace(database.rows[-1], **{missing: None})
        snapshot = database.load([])
        with pytest.raises(ValueError, match="an entry needs"):
            waitlist.join(snapshot, Plan(), database.events[1], row)


class TestSmallestWaiting:
    @pytest.mark.parametrize(
        ("sizes", "smallest"), [((), None), ((1,), 1), ((10,), 10), ((4, 7), 4), (range(1, 11), 1)]
    )
    def test_is_the_fewest_tickets_that_somebody_waits_for(self, sizes, smallest):
        assert smallest_waiting([int(size in sizes) for size in range(1, 11)]) == smallest

    @pytest.mark.parametrize(
        ("free", "sizes", "enabled", "available"),
        [
            (3, (), True, 3), (3, (4,), True, 3), (3, (3,), True, 0), (3, (1, 9), True, 0), (3, (1,), False, 3),
            (0, (1,), True, 0),
        ],
    )  # fmt: skip
    def test_decides_what_is_available(self, free, sizes, enabled, available):
        waiting = [int(size in sizes) for size in range(1, 11)]
        given = {
            "capacity": free + 3,
            "booked": 2,
            "offered": 1,
            "waitlist_enabled": enabled,
            "waiting": waiting,
        }
        assert available_tickets(**given) == available
        assert event_state(**given).available == available
