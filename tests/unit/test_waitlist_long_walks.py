"""What test_waitlist_properties.py tries, at random: hypothesis tries what is odd, dice what is usual, and for longer."""

import random
from collections import Counter
from datetime import timedelta
from functools import cache

import pytest

from tests.waitlist_rules import SIZES, TROUBLES, EventWithAWaitlist


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


@cache
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
