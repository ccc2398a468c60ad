"""Whatever happens to an event with a waitlist, it happens as in a model that is too naive to be wrong; the same singly
or in batches, and its ledger can be replayed.
"""

import random
import uuid
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from unittest.mock import patch

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shared.domain import waitlist
from shared.domain.drain import DrainMark
from shared.domain.ledger import OFFER
from shared.domain.replay import Replay
from shared.domain.requests import KINDS, Request, RequestKind
from shared.domain.snapshot import EventState
from shared.ids import derived_uuid
from tests.snapshots import NOW, Database, event_state, job_id
from tests.waitlist_model import Model

USERS = st.integers(1, 8)
SIZES = [1, 1, 1, 2, 2, 3, 4, 5, 7, 10]
TICKETS = st.sampled_from(SIZES)
SOME_CUTS = [[], [1], [2, 3], [5, 1, 4]]
CUTS = st.lists(st.integers(1, 6), max_size=5)
LATER = st.sampled_from([timedelta(minutes=1), timedelta(minutes=30), timedelta(hours=1), timedelta(days=1)])
NO_SUCH = job_id(10**6)
SWITCHES = [("waitlist_enabled", False, True), ("sales_paused", True, False), ("max_per_booking", 1, 10)]
TROUBLES = [
    "switch",
    "switch",
    "one_will_fail",
    "one_will_fail",
    "move_the_start",
    "move_the_start",
    "move_the_opening",
    "change_the_most_a_booking_may_have",
    "call_off",
    "drain",
    "close_account",
]


def choose(chance, options):
    """One of them, by hypothesis or by dice."""
    if isinstance(chance, random.Random):
        return chance.choice(options)
    return chance.draw(st.sampled_from(options))


def shuffled(chance, options):
    """All of them in any order."""
    if isinstance(chance, random.Random):
        return chance.sample(options, len(options))
    return chance.draw(st.permutations(options))


@dataclass(frozen=True, slots=True)
class Asked:
    """A request before it knows ids that others make. `of` is the job id of the request that made its booking, or the
    entry whose offer it is about."""

    job_id: uuid.UUID
    kind: RequestKind
    user_id: int
    accepted_at: datetime
    tickets: int | None = None
    of: uuid.UUID | None = None
    waitlist: bool = False
    acting_as: str = "owner"
    withdrawn: bool = False


class EventWithAWaitlist(RuleBasedStateMachine):
    """Three twins: the model, a database in which each request is decided by itself, one in which batches are."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.line: list[Asked] = []
        self.failing: set[uuid.UUID] = set()
        self.number = 0
        self.replay = Replay(1)

    @initialize(
        data=st.data(),
        capacity=st.integers(1, 12),
        max_per_booking=st.sampled_from([3, 10, 10]),
        offers_max=st.sampled_from([1, 2, 3, 200]),
        opens=st.sampled_from([None, NOW - timedelta(days=1)]),
        closes=st.sampled_from([timedelta(days=9), timedelta(days=30)]),
    )
    def begin(self, data, capacity, max_per_booking, offers_max, opens, closes):
        fields = {
            "capacity": capacity,
            "max_per_booking": max_per_booking,
            "starts_at": NOW + timedelta(days=30),
            "sales_open_at": opens,
            "sales_close_at": NOW + closes,
        }
        self.model = Model(**fields)
        self.singly, self.batched = (Database({1: event_state(**fields)}) for _ in range(2))
        self.limit = patch.object(waitlist, "OFFERS_MAX", offers_max)
        self.limit.start()
        self.change()
        self.many_want_tickets(data)

    def teardown(self) -> None:
        self.limit.stop()

    # requests

    def ask(self, kind: RequestKind, user_id: int, **fields) -> Asked:
        self.number += 1
        asked = Asked(job_id(self.number), kind, user_id, self.now, **fields)
        self.line.append(asked)
        return asked

    @rule(user=USERS, tickets=TICKETS, or_wait=st.booleans(), withdrawn=st.sampled_from([False] * 9 + [True]))
    def book(self, user, tickets, or_wait, withdrawn):
        self.ask("book", user, tickets=tickets, waitlist=or_wait, withdrawn=withdrawn)

    @rule(user=USERS, tickets=TICKETS)
    def join(self, user, tickets):
        self.ask("join_waitlist", user, tickets=tickets)

    @rule(data=st.data())
    def many_want_tickets(self, data):
        for user in shuffled(data, range(1, 9)):
            kind = choose(data, ["book", "join_waitlist"])
            self.ask(kind, user, tickets=choose(data, SIZES), waitlist=kind == "book")

    @rule(data=st.data(), role=st.sampled_from(["owner", "host", "admin"]))
    def cancel(self, data, role):
        made = [(one.made_by, one.user) for one in self.model.bookings if one.live]
        if not made or not choose(data, range(10)):
            made = [(one.made_by, one.user) for one in self.model.bookings] + [(NO_SUCH, 1)]
            made += [(one.job_id, one.user_id) for one in self.line if one.kind in ("book", "accept_offer")]
        of, user = choose(data, made)
        self.ask("cancel", user if role == "owner" else 99, of=of, acting_as=role)

    @rule(data=st.data())
    def many_cancel(self, data):
        live = [one for one in self.model.bookings if one.live]
        for one in shuffled(data, live)[: choose(data, range(1, 5))]:
            self.ask("cancel", one.user, of=one.made_by)

    @rule(data=st.data())
    def leave(self, data):
        live = [one.user for one in self.model.waitlist if one.status in ("waiting", "offered")]
        live += [one.user_id for one in self.line if one.waitlist or one.kind == "join_waitlist"]
        self.ask("leave_waitlist", choose(data, live or range(1, 9)))

    @rule(
        data=st.data(), kind=st.sampled_from(["accept_offer"] * 3 + ["decline_offer"] + ["expire_offer"] * 2)
    )
    def answer_offer(self, data, kind):
        """Open offers, those that have ended, and those that the requests in line may come to get."""
        places = [(one.made_by, one.user) for one in self.model.waitlist if one.status == "offered"]
        if not places or not choose(data, range(6)):
            places = [(one.made_by, one.user) for one in self.model.waitlist]
            wait = [one for one in self.line if one.waitlist or one.kind == "join_waitlist"]
            places += [(one.job_id, one.user_id) for one in wait]
        of, user = choose(data, places or [(NO_SUCH, 1)])
        self.ask(kind, choose(data, [user] * 9 + [1]), of=of)

    @rule(data=st.data(), or_wait=st.booleans())
    def book_beside_an_offer(self, data, or_wait):
        offered = [one for one in self.model.waitlist if one.status == "offered"]
        if offered:
            place = choose(data, offered)
            tickets = choose(data, [place.tickets] * 2 + [1, 2])
            self.ask("book", place.user, tickets=tickets, waitlist=or_wait)

    @rule(data=st.data(), minutes=st.sampled_from([59, 60, 61]))
    def answer_at_the_last_moment(self, data, minutes):
        """An offer lasts an hour: somebody books, accepts or lets it end when that is over, or nearly so."""
        offered = [one for one in self.model.waitlist if one.status == "offered"]
        if offered:
            place = choose(data, offered)
            self.now = max(self.now, place.expires_at + timedelta(minutes=minutes - 60))
            kind = choose(data, ["book", "book", "accept_offer", "expire_offer"])
            if kind == "book":
                self.ask(kind, place.user, tickets=place.tickets)
            else:
                self.ask(kind, place.user, of=place.made_by)

    @rule()
    def more_tickets(self):
        self.change(capacity=self.model.capacity + 3)
        self.serve()

    @rule()
    def serve(self):
        self.ask("serve_waitlist", 99)

    # what the control plane does, between two transactions, while requests may stand in line

    def change(self, **changes) -> None:
        for name, value in changes.items():
            setattr(self.model, name, value)
        for database in (self.singly, self.batched):
            database.set_event(1, self.now, **changes)

    @rule(more=st.integers(-5, 12))
    def change_capacity(self, more):
        taken = self.model.booked() + self.model.offered()
        self.change(capacity=max(self.model.capacity + more, taken, 1))

    def switch(self, data):
        """What stops a sale or the waitlist; mostly it goes on a little later."""
        name, off, on = choose(data, SWITCHES)
        self.change(**{name: off})
        if choose(data, [False, True]):
            self.many_want_tickets(data)
            self.decide(choose(data, SOME_CUTS), 2)
        if choose(data, range(10)):
            self.change(**{name: on})

    @rule(data=st.data(), what=st.sampled_from(TROUBLES))
    def trouble(self, data, what):
        """Rare things, one rule for all of them: most of what is tried is to be an event on sale."""
        getattr(self, what)(data)

    def one_will_fail(self, data):
        if self.line:
            self.failing.add(choose(data, self.line).job_id)

    def move_the_start(self, data):
        starts_at = self.now + choose(data, [timedelta(minutes=40), timedelta(days=2)])
        if self.now < self.model.starts_at:
            self.change(starts_at=starts_at, sales_close_at=min(self.model.sales_close_at, starts_at))

    def move_the_opening(self, data):
        after = choose(data, [None, timedelta(0), timedelta(minutes=30)])
        self.change(sales_open_at=None if after is None else self.now + after)

    def change_the_most_a_booking_may_have(self, data):
        self.change(max_per_booking=choose(data, [2, 10]))

    def call_off(self, data):
        if self.number > 20 and choose(data, [False, True]):
            self.change(status="cancelled")
            self.ask("call_off", 99)

    def drain(self, data):
        if self.line:
            arrival = self.model.arrivals + min(choose(data, range(1, 11)), len(self.line))
            self.model.drained = (max(arrival, (self.model.drained or (0,))[0]), self.now)
            for database in (self.singly, self.batched):
                mark = DrainMark(up_to_arrival=arrival, accepted_until=self.now, reason="rain")
                database.set_drain(1, self.now, mark)

    def close_account(self, data):
        user = choose(data, range(1, 9))
        for one in (self.model.closed, self.singly.closed_users, self.batched.closed_users):
            one.add(user)

    @rule(by=LATER)
    def time_passes(self, by):
        self.now += by

    # deciding

    @rule(cuts=CUTS)
    def decide_what_waits(self, cuts):
        self.decide(cuts, 2)

    @rule(cuts=CUTS, slice_size=st.integers(1, 4))
    def decide(self, cuts, slice_size):
        """All that waits: by the model and singly one after the other, in the other database in batches."""
        batch: list[Request] = []
        for each in self.line:
            asked = self.with_what_is_known(each)
            request = self.request_of(asked)
            if asked.kind == "call_off":
                self.decide_batches(batch, cuts)
                batch = []
                self.model.call_off(asked)
                for database in (self.singly, self.batched):
                    database.call_off(request, self.now, slice_size)
                continue
            self.model.work_off([asked], self.now, self.failing)
            self.singly.decide([request], self.now, self.failing)
            batch.append(request)
        self.decide_batches(batch, cuts)
        served = self.line and self.line[-1].job_id not in self.failing
        self.line = []
        self.compare()
        if served and self.model.may_offer(self.now):
            assert not self.model.who_fits(), "tickets are idle while somebody waits for them"

    def decide_batches(self, requests: list[Request], cuts: list[int]) -> None:
        start = 0
        for size in [*cuts, len(requests)]:
            self.batched.decide(requests[start : start + size], self.now, self.failing)
            start += size

    def with_what_is_known(self, asked: Asked) -> Asked:
        """Nobody can name an offer that is only made before this very request is decided."""
        made = any(one.made_by == asked.of and one.offer_status for one in self.model.waitlist)
        return asked if made or not asked.kind.endswith("_offer") else replace(asked, of=NO_SUCH)

    def request_of(self, asked: Asked) -> Request:
        """With the ids that the client would have read by now."""
        entry = next((one for one in self.singly.entries.values() if one.job_id == asked.of), None)
        offer_id = entry.offer.id if entry is not None and entry.offer is not None else NO_SUCH
        return Request(
            job_id=asked.job_id,
            kind=asked.kind,
            event_id=1,
            user_id=asked.user_id,
            arrival=self.model.arrivals + 1,
            accepted_at=asked.accepted_at,
            tickets=asked.tickets,
            booking_id=derived_uuid(asked.of, 0) if asked.kind == "cancel" else None,
            offer_id=offer_id if asked.kind.endswith("_offer") else None,
            waitlist=asked.waitlist,
            acting_as=asked.acting_as,
            withdrawn=asked.withdrawn,
        )

    # what must hold

    def compare(self) -> None:
        assert self.story() == self.model.story
        assert self.batched.rows == self.singly.rows  # with their hashes
        assert self.batched.events == self.singly.events
        assert self.batched.bookings == self.singly.bookings
        assert self.batched.entries == self.singly.entries
        entries = sorted(self.singly.entries.values(), key=lambda entry: entry.number)
        assert [
            (one.job_id, one.user_id, one.tickets, one.status, one.offer and one.offer.status)
            for one in entries
        ] == [
            (one.made_by, one.user, one.tickets, one.status, one.offer_status) for one in self.model.waitlist
        ]
        self.compare_replay()

    def compare_replay(self) -> None:
        findings = [each for row in self.singly.rows[self.replay.rows :] for each in self.replay.step(row)]
        assert findings == []
        event = self.singly.events[1]
        assert self.replay.event == event
        assert self.replay.bookings == {one.id: one for one in self.singly.bookings.values()}
        assert self.replay.entries == self.singly.entries
        assert self.replay.open_slices == {}

    def story(self):
        for_entry = {str(entry.id): entry.job_id for entry in self.singly.entries.values()}
        story = []
        for row in self.singly.rows:
            if row.kind in KINDS:
                story.append(("decision", row.job_id, row.outcome, row.reason))
            elif row.kind == OFFER:
                expires_at = datetime.fromisoformat(row.facts["expires_at"])
                story.append(
                    ("offer", for_entry[row.facts["entry_id"]], row.user_id, row.tickets, expires_at)
                )
        return story

    @invariant()
    def nothing_is_oversold_and_every_counter_is_the_sum_of_its_rows(self):
        for database in (self.singly, self.batched):
            event: EventState = database.events[1]
            live = [one for one in database.bookings.values() if one.status == "confirmed"]
            offered = [one for one in database.entries.values() if one.status == "offered"]
            waiting = [one.tickets for one in database.entries.values() if one.status == "waiting"]
            assert event.booked == sum(one.tickets for one in live)
            assert event.offered == sum(one.tickets for one in offered)
            assert event.waiting == [waiting.count(size) for size in range(1, 11)]
            assert event.booked + event.offered <= event.capacity
            assert (event.booked, event.offered) == (self.model.booked(), self.model.offered())
            assert event.available == self.model.available()
            holders = [one.user_id for one in [*live, *offered]]
            assert len(holders) == len(set(holders)), "two bookings, or a booking and a place to wait"
            assert all(
                (one.offer is not None and one.offer.status == "open") == (one.status == "offered")
                for one in database.entries.values()
            )


TestEventWithAWaitlist = EventWithAWaitlist.TestCase
TestEventWithAWaitlist.settings = settings(deadline=None, max_examples=100, stateful_step_count=40)


class Walker(EventWithAWaitlist):
    """The same at random: hypothesis tries what is odd, dice what is usual, and for longer."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        chance = self.chance = random.Random(seed)
        self.begin(
            data=chance,
            capacity=chance.randint(2, 12),
            max_per_booking=10,
            offers_max=chance.choice([1, 2, 200]),
            opens=None,
            closes=timedelta(days=30),
        )

    def step(self) -> None:
        chance = self.chance
        user, tickets = chance.randint(1, 8), chance.choice(SIZES)
        verbs = [
            (6, lambda: self.book(user, tickets, chance.random() < 0.5, chance.random() < 0.05)),
            (6, lambda: self.join(user, tickets)),
            (5, lambda: self.cancel(chance, chance.choice(["owner", "host", "admin"]))),
            (2, lambda: self.many_cancel(chance)),
            (1, lambda: self.many_want_tickets(chance)),
            (1, lambda: self.leave(chance)),
            (
                5,
                lambda: self.answer_offer(
                    chance, chance.choice(["accept_offer", "decline_offer", "expire_offer"])
                ),
            ),
            (2, lambda: self.book_beside_an_offer(chance, chance.random() < 0.3)),
            (1, lambda: self.answer_at_the_last_moment(chance, chance.choice([59, 60, 61]))),
            (2, lambda: self.change_capacity(chance.randint(-5, 6))),
            (
                0.3,
                lambda: self.trouble(chance, chance.choice([one for one in TROUBLES if one != "call_off"])),
            ),
            (0.2, lambda: self.time_passes(timedelta(minutes=30))),
            (6, lambda: self.decide([chance.randint(1, 6) for _ in range(chance.randint(0, 5))], 2)),
        ]
        chance.choices([verb for _, verb in verbs], [weight for weight, _ in verbs])[0]()
        self.nothing_is_oversold_and_every_counter_is_the_sum_of_its_rows()


def walk(seed: int) -> Counter[str]:
    """A hundred and fifty steps; how often what happened, by kind of row and how entries ended."""
    walker = Walker(seed)
    try:
        for _ in range(150):
            walker.step()
        if seed % 2:
            walker.change(status="cancelled")
            walker.ask("call_off", 99)
        walker.decide([3, 4], 2)
    finally:
        walker.teardown()
    entries = walker.singly.entries.values()
    return Counter(row.kind for row in walker.singly.rows) + Counter(entry.status for entry in entries)


@pytest.mark.parametrize("seed", range(100))
def test_a_long_walk(seed):
    walk(seed)


def test_long_walks_are_about_offers():
    """Else they prove little."""
    seen = sum((walk(seed) for seed in range(20)), Counter())
    assert all(seen[kind] >= 20 for kind in ("offer", "accepted", "declined", "expired", "left")), seen
