"""Random requests for tickets and places in random batches, on a real database: as the model says, and the audit agrees."""

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from shared.ids import derived_uuid
from tests.factories import make_users
from tests.waitlist_model import Model
from tests.waitlist_window import NOWHERE, Window, windows


@pytest.fixture
def open_window(settings, engine) -> Iterator[Any]:
    with windows(settings, engine) as opened:
        yield opened


@pytest.fixture
def people(engine) -> list[int]:
    return [user.id for user in make_users(engine, 12)]


@dataclass(frozen=True)
class Asked:
    """What the model reads of a request."""

    job_id: uuid.UUID
    kind: str
    user_id: int
    tickets: int | None
    accepted_at: Any
    of: uuid.UUID | None = None
    waitlist: bool = False
    acting_as: str = "owner"
    withdrawn: bool = False


class Walk:
    """Random requests, in random batches, by the model and by the worker."""

    def __init__(self, window: Window, people: list[int], seed: int) -> None:
        self.window, self.people, self.chance = window, people, random.Random(seed)
        event = window.event
        self.model = Model(
            capacity=event.capacity,
            max_per_booking=event.max_per_booking,
            starts_at=event.starts_at,
            sales_open_at=None,
            sales_close_at=event.sales_close_at,
        )
        self.now = event.created_at
        self.line: list[Asked] = []

    def ask(self, kind: str, user: int, *, of: uuid.UUID | None = None, **fields: Any) -> None:
        named: dict[str, Any] = {}
        if kind == "cancel":
            named["booking_id"] = derived_uuid(of or NOWHERE, 0)
        elif kind.endswith("_offer"):
            named["offer_id"] = self.window.offer_of(user)
        job_id = self.window.ask(kind, user, **fields, **named)
        tickets = fields.get("tickets")
        self.line.append(
            Asked(job_id, kind, user, tickets, self.now, of=of, waitlist=bool(fields.get("waitlist")))
        )

    def step(self) -> None:
        chance, model = self.chance, self.model
        user = chance.choice(self.people)
        verb = chance.choices(
            ["book", "join_waitlist", "cancel", "leave_waitlist", "answer", "beside"], [4, 6, 5, 1, 4, 1]
        )[0]
        open_offers = [one for one in model.waitlist if one.status == "offered"]
        live = [one for one in model.bookings if one.live]
        if verb in ("book", "join_waitlist"):
            tickets = chance.choice([1, 1, 1, 2, 2, 3])
            waits = {"waitlist": True} if verb == "book" and chance.random() < 0.5 else {}
            self.ask(verb, user, tickets=tickets, **waits)
        elif verb == "cancel" and live:
            booking = chance.choice(live)
            self.ask("cancel", booking.user, of=booking.made_by)
        elif verb == "leave_waitlist":
            self.ask(verb, user)
        elif verb == "answer" and open_offers:
            place = chance.choice(open_offers)
            kind = chance.choices(["accept_offer", "decline_offer", "expire_offer"], [4, 2, 1])[0]
            self.ask(kind, place.user, of=place.made_by)
        elif verb == "beside" and open_offers:
            place = chance.choice(open_offers)
            self.ask("book", place.user, tickets=chance.choice([place.tickets, 1, 2]))

    def decide(self) -> None:
        self.model.work_off(self.line, self.now, set())
        self.line = []
        self.window.decide()

    def change_capacity(self) -> None:
        wanted = max(
            self.model.capacity + self.chance.randint(-2, 3), self.model.booked() + self.model.offered(), 1
        )
        if wanted == self.model.capacity:
            return
        self.model.capacity = wanted
        waits = any(one.status == "waiting" for one in self.model.waitlist)
        self.window.change(capacity=wanted)
        if waits:
            (row,) = self.window.query(
                "select job_id from control_requests where event_id = :event order by created_at desc limit 1"
            )
            self.line.append(Asked(row.job_id, "serve_waitlist", 0, None, self.now))


class TestWhateverIsDecidedTogether:
    @pytest.mark.parametrize("seed", range(6))
    def test_comes_out_as_the_model_says(self, open_window, people, seed):
        chance = random.Random(seed)
        window = open_window(capacity=chance.randint(2, 5), batch_max=chance.choice([1, 3, 7, 250]))
        walk = Walk(window, people, seed)
        for _ in range(14):
            for _ in range(chance.randint(1, 9)):
                walk.step()
            if chance.random() < 0.3:
                walk.change_capacity()
            walk.decide()
            assert window.story() == [each[:4] for each in walk.model.story]
            booked, offered, waiting = window.counters()
            sizes = [one.tickets for one in walk.model.waitlist if one.status == "waiting"]
            assert (booked, offered) == (walk.model.booked(), walk.model.offered())
            assert waiting == [sizes.count(size) for size in range(1, 11)]
        assert any(each[0] == "offer" for each in walk.model.story)
        window.assert_clean()
