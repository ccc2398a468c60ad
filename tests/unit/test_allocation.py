"""A batch decides exactly as its requests would be decided one by one, whatever they are."""

import copy
import uuid
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.allocation import PoisonError, decide, decide_slice
from shared.domain.drain import DrainMark
from shared.domain.ledger import chain_hash
from shared.domain.requests import Request
from shared.domain.snapshot import EventState
from shared.domain.waitlist import UnloadedError
from shared.ids import derived_uuid
from tests.snapshots import (
    CLOSES,
    NOW,
    OPENS,
    STARTS,
    Database,
    booking_state,
    event_state,
    job_id,
    request,
    snapshot_of,
)

SHORTAGE = ("sold_out", "not_enough_left")
EVENTS = st.sampled_from([1, 1, 1, 2, 9])  # 9 does not exist
INSTANTS = st.sampled_from(
    [NOW, NOW, NOW, OPENS, OPENS - timedelta(microseconds=1), CLOSES, CLOSES - timedelta(microseconds=1)]
)


@st.composite
def events(draw: st.DrawFn, event_id: int) -> EventState:
    """An event in any state, mostly on sale, with little room."""
    return event_state(
        event_id,
        capacity=draw(st.integers(1, 12)),
        max_per_booking=draw(st.integers(1, 10)),
        status=draw(st.sampled_from(["scheduled"] * 8 + ["cancelled", "draft"])),
        deleted=draw(st.sampled_from([False] * 9 + [True])),
        sales_paused=draw(st.sampled_from([False] * 9 + [True])),
        starts_at=draw(st.sampled_from([STARTS, STARTS, NOW, NOW + timedelta(hours=1)])),
        last_arrival=draw(st.integers(0, 3)),
        last_number=draw(st.integers(0, 3)),
    )


@st.composite
def requests(draw: st.DrawFn) -> list[Request]:
    """Anything that can stand in a line: repeats, holes in the numbers, cancellations of what was never made."""
    made: list[Request] = []
    for number in range(draw(st.integers(0, 30))):
        if made and draw(st.integers(0, 9)) == 0:
            made.append(replace(draw(st.sampled_from(made)), arrival=draw(st.integers(0, 40))))
            continue
        kind = draw(st.sampled_from(["book", "book", "book", "cancel"]))
        books = [one for one in made if one.kind == "book"]
        of = (
            draw(st.sampled_from(books))
            if books and draw(st.integers(0, 4))
            else request(job_id=job_id(10**6))
        )
        made.append(
            request(
                job_id=job_id(number + 1),
                kind=kind,
                event_id=of.event_id if kind == "cancel" and draw(st.booleans()) else draw(EVENTS),
                user_id=of.user_id if kind == "cancel" and draw(st.booleans()) else draw(st.integers(1, 4)),
                arrival=number + draw(st.integers(-1, 2)),
                accepted_at=draw(INSTANTS),
                tickets=draw(st.integers(1, 11)) if kind == "book" else None,
                booking_id=derived_uuid(of.job_id, 0) if kind == "cancel" else None,
                acting_as=draw(st.sampled_from(["owner", "owner", "host", "admin", "account"])),
                withdrawn=draw(st.sampled_from([False] * 5 + [True])),
            )
        )
    return made


@st.composite
def databases(draw: st.DrawFn) -> Database:
    """Two events, perhaps with bookings that were there before, perhaps with a closed account."""
    database = Database(
        {1: draw(events(1)), 2: draw(events(2))}, closed_users=draw(st.sampled_from([set(), {2}]))
    )
    for number, user_id in enumerate(draw(st.lists(st.integers(1, 4), unique=True, max_size=3))):
        event = database.events[draw(st.sampled_from([1, 2]))]
        tickets = draw(st.integers(1, 3))
        if event.available >= tickets:
            booking = booking_state(
                id=job_id(500 + number),
                event_id=event.id,
                user_id=user_id,
                tickets=tickets,
                job_id=job_id(600 + number),
            )
            database.bookings[booking.id] = booking
            event.booked += tickets
    return database


def in_batches(line: list[Request], sizes: list[int]) -> list[list[Request]]:
    """The line cut where `sizes` say. A repeat within a batch would break the ledger's key; workers decide such a
    batch one by one, so it is cut there too."""
    batches: list[list[Request]] = [[]]
    cuts = iter(sizes)
    left = next(cuts, len(line) + 1)
    for one in line:
        if left == 0 or any(one.job_id == other.job_id for other in batches[-1]):
            batches.append([])
            left = next(cuts, len(line) + 1)
        batches[-1].append(one)
        left -= 1
    return batches


@st.composite
def marks(draw: st.DrawFn) -> DrainMark:
    """A mark in the middle of the line, or before it, or behind it, on any clock."""
    return DrainMark(
        up_to_arrival=draw(st.integers(1, 40)),
        accepted_until=draw(INSTANTS),
        reason=draw(st.sampled_from(["rain", "snow"])),
    )


def worked_off(database: Database, batches: list[list[Request]], quarantined: set[uuid.UUID]) -> Database:
    result = copy.deepcopy(database)
    for batch in batches:
        result.decide(batch, NOW, quarantined)
    return result


class TestBatch:
    @settings(deadline=None, max_examples=300)
    @given(
        databases(),
        requests(),
        st.lists(st.integers(1, 12), max_size=6),
        st.sets(st.integers(1, 30), max_size=2),
    )
    def test_decides_as_one_by_one_would(self, database, line, sizes, poisoned):
        quarantined = {job_id(number) for number in poisoned}
        singly = worked_off(database, [[one] for one in line], quarantined)
        batched = worked_off(database, in_batches(line, sizes), quarantined)
        assert batched.rows == singly.rows  # with their hashes
        assert batched.events == singly.events
        assert batched.bookings == singly.bookings
        assert set(batched.lost) == set(singly.lost)

    @settings(deadline=None, max_examples=300)
    @given(
        databases(),
        requests(),
        st.lists(st.integers(1, 12), max_size=6),
        st.lists(st.tuples(st.integers(0, 30), st.integers(1, 2), marks()), min_size=1, max_size=3),
    )
    def test_decides_as_one_by_one_would_with_lines_drained_between(self, database, line, sizes, drains):
        singly, batched = copy.deepcopy(database), copy.deepcopy(database)
        start = 0
        for position, event_id, mark in [*sorted(drains, key=lambda one: one[0]), (len(line), 0, None)]:
            part, start = line[start:position], max(start, position)
            singly = worked_off(singly, [[one] for one in part], set())
            batched = worked_off(batched, in_batches(part, sizes), set())
            if mark is not None:
                singly.drain(event_id, mark)
                batched.drain(event_id, mark)
        assert batched.rows == singly.rows  # with their hashes
        assert batched.events == singly.events
        assert batched.bookings == singly.bookings

    @settings(deadline=None, max_examples=300)
    @given(
        databases(),
        requests(),
        st.lists(st.integers(1, 12), max_size=6),
        st.lists(marks(), max_size=2),
    )
    def test_keeps_every_promise(self, database, line, sizes, drains):
        before = copy.deepcopy(database)
        for mark in drains:
            database.drain(1, mark)
        after = worked_off(database, in_batches(line, sizes), set())
        for event_id, event in after.events.items():
            start = before.events[event_id]
            live = [
                one
                for one in after.bookings.values()
                if one.event_id == event_id and one.status != "cancelled"
            ]
            assert event.booked == sum(one.tickets for one in live) <= event.capacity
            assert max(Counter(one.user_id for one in live).values(), default=0) <= 1

            rows = [row for row in after.rows if row.event_id == event_id]
            assert [row.arrival for row in rows] == list(
                range(start.last_arrival + 1, event.last_arrival + 1)
            )
            assert [row.number for row in rows] == list(range(start.last_number + 1, event.last_number + 1))
            assert all(0 <= row.available_after <= event.capacity for row in rows)
            assert_nobody_was_passed_over(rows)
            head = start.last_hash
            for row in rows:
                assert row.hash == chain_hash(head, row)
                head = row.hash
            assert head == event.last_hash

    @settings(deadline=None, max_examples=100)
    @given(databases(), requests())
    def test_decides_each_request_once_in_its_order(self, database, line):
        after = worked_off(database, in_batches(line, []), set())
        order = list(dict.fromkeys(one.job_id for one in line if one.event_id in database.events))
        assert [row.job_id for row in after.rows] == order

    def test_counts_numbers_that_redis_gave_twice_or_left_out(self):
        event = event_state(last_arrival=4)
        line = [
            request(user_id=number, arrival=arrival) for number, arrival in enumerate((5, 5, 6, 9, 9, 11))
        ]
        plan = decide(snapshot_of(event), line, NOW)
        assert [decided.row.arrival for decided in plan.decided] == [5, 6, 7, 8, 9, 10]
        assert event.arrivals_reissued == 4  # 5 again, 6 for 7, 9 for 8, 11 for 10; the second 9 is right


def assert_nobody_was_passed_over(rows) -> None:
    short = None  # the fewest tickets that somebody was refused for want of, since tickets were last freed
    for row in rows:
        if row.outcome == "cancelled":
            short = None
        elif row.reason in SHORTAGE:
            short = row.tickets if short is None else min(short, row.tickets)
        elif row.outcome == "confirmed":
            assert short is None or row.tickets < short


class TestQuarantine:
    def test_is_a_decision_at_its_place(self):
        event = event_state(capacity=1)
        line = [request(user_id=1), request(user_id=2), request(user_id=3)]
        plan = decide(snapshot_of(event), line, NOW, {line[0].job_id})
        assert [(decided.row.outcome, decided.row.reason) for decided in plan.decided] == [
            ("failed", "request_failed"),
            ("confirmed", None),
            ("rejected", "sold_out"),
        ]
        assert [decided.row.arrival for decided in plan.decided] == [1, 2, 3]

    @pytest.mark.parametrize(
        "bad",
        [
            request(kind="refund"),
            request(tickets=None),
            request(tickets=0),
            request(user_id=None),
            request(accepted_at=None),
        ],
    )
    def test_names_the_request_that_our_code_fails_on(self, bad):
        with pytest.raises(PoisonError) as caught:
            decide(snapshot_of(event_state()), [request(user_id=8), bad], NOW)
        assert caught.value.job_id == bad.job_id

    def test_never_blames_a_request_for_the_machines_memory(self):
        class Full(dict):
            def get(self, *_):
                raise MemoryError

        snapshot = snapshot_of(event_state())
        snapshot.live = Full()
        with pytest.raises(MemoryError):
            decide(snapshot, [request()], NOW)

    def test_of_a_call_off_does_not_need_an_empty_event(self):
        event = event_state(booked=3)
        with pytest.raises(PoisonError):
            decide(snapshot_of(event), [request(kind="call_off")], NOW)
        bad = request(kind="call_off")
        plan = decide(snapshot_of(event), [bad], NOW, {bad.job_id})
        assert plan.decided[0].row.outcome == "failed"


class TestMissingEvent:
    def test_has_no_ledger_to_be_written_to(self):
        lost = request(event_id=9)
        plan = decide(snapshot_of(event_state()), [lost, request()], NOW)
        assert plan.missing == [lost]
        assert len(plan.decided) == 1


class TestCallOff:
    @given(st.integers(0, 12), st.integers(1, 5))
    def test_gives_everything_back_slice_by_slice(self, count, size):
        event = event_state(capacity=100, booked=2 * count, last_number=7, last_arrival=3)
        bookings = [booking_state(user_id=number) for number in range(count)]
        call_off = request(kind="call_off", user_id=None)
        snapshot = snapshot_of(event, *bookings)
        rows = []
        while live := [one for one in bookings if one.status != "cancelled"]:
            plan = decide_slice(snapshot, call_off, live[:size], [], NOW)
            assert plan.cancelled == live[:size]
            rows += plan.rows
        rows.append(decide(snapshot, [call_off], NOW).decided[0].row)

        assert event.booked == 0
        assert snapshot.live == {}
        assert [row.number for row in rows] == list(range(8, 9 + len(rows) - 1))
        assert [row.arrival for row in rows] == [None] * (len(rows) - 1) + [4]
        assert len({row.job_id for row in rows}) == len(rows)
        assert [row.job_id for row in rows[:-1]] == [
            derived_uuid(call_off.job_id, row.number) for row in rows[:-1]
        ]
        assert sum(row.tickets or 0 for row in rows) == 2 * count
        assert (rows[-1].kind, rows[-1].outcome, rows[-1].available_after) == ("call_off", "done", 100)


class TestAWaitlistThatIsNotThere:
    """Somebody changed the counts by hand: the line stands and says why, instead of turning for ever."""

    def test_is_no_requests_fault(self):
        event = event_state(capacity=10, waiting=[1] + [0] * 9)
        snapshot = snapshot_of(event)
        snapshot.queues[event.id][0].complete = False
        with pytest.raises(UnloadedError):
            decide(snapshot, [request()], NOW)
