"""What may happen to an event with a waitlist: rules for hypothesis, and for dice."""

import random
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from shared.domain.drain import DrainMark
from tests.snapshots import NOW
from tests.waitlist_twins import NO_SUCH, EventTwins

USERS = st.integers(1, 8)
SIZES = [1, 1, 1, 2, 2, 3, 4, 5, 7, 10]
TICKETS = st.sampled_from(SIZES)
SOME_CUTS = [[], [1], [2, 3], [5, 1, 4]]
CUTS = st.lists(st.integers(1, 6), max_size=5)
LATER = st.sampled_from([timedelta(minutes=1), timedelta(minutes=30), timedelta(hours=1), timedelta(days=1)])
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


class EventWithAWaitlist(EventTwins):
    """Whatever may be asked of it, changed about it, or go wrong, in any order."""

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
        self.open(offers_max, **fields)
        self.many_want_tickets(data)

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

    @rule(cuts=CUTS)
    def decide_what_waits(self, cuts):
        self.decide(cuts, 2)

    @rule(cuts=CUTS, slice_size=st.integers(1, 4))
    def decide_in_slices(self, cuts, slice_size):
        self.decide(cuts, slice_size)
