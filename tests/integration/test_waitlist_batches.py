"""The waitlist in batches on a real database: as the model says, whatever is decided together, and the audit agrees."""

import itertools
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from scripts.audit import run_audit
from shared.db import transaction
from shared.domain.availability import available_tickets
from shared.domain.permissions import Actor
from shared.errors import RefusedError
from shared.ids import derived_uuid
from shared.models import Event
from shared.services import control_requests, events
from shared.services.line import LineClient
from shared.services.line_gate import LineGate
from shared.settings import Settings
from shared.store import batches
from tests.factories import make_event, make_users
from tests.standing import StandingLine
from tests.waitlist_model import Model
from worker import batch

NOWHERE = uuid.UUID(int=0)


@dataclass
class Window:
    """An event, the line before it, and short ways to ask for things; what is asked is decided when the test says so."""

    engine: Engine
    line: StandingLine
    event: Event

    def ask(self, kind: str, user_id: int, **fields: Any) -> uuid.UUID:
        """Stands in line; the job id."""
        given = {"tickets": 1 if kind in ("book", "join_waitlist") else None, **fields}
        return uuid.UUID(self.line.stand_as(self.event, [user_id], kind=kind, **given)[0])

    def decide(self) -> None:
        """Everything that waits."""
        self.line.decide_all()

    def let_wait(self, count: int, tickets: int = 1) -> None:
        """So many people join the waitlist; a session that is silent for 3 s loses its claim."""
        for _ in range(0, count, 50):
            self.line.stand(self.event, 50, kind="join_waitlist", tickets=tickets)
            self.decide()

    def change(self, **values: Any) -> None:
        """The host changes the event, and what follows from it is put into the line."""
        settings = self.line.settings
        client = LineClient(settings, self.line.redis, LineGate(settings, self.engine, self.line.redis))
        with transaction(self.engine) as session:
            jobs = events.change_event(
                session, actor=Actor(self.event.host_id, "host"), event_id=self.event.id, values=values,
                whole=False, versions=None, request_id=None,
            )  # fmt: skip
        control_requests.put_into_line(self.engine, client, jobs)

    def query(self, statement: str, **values: Any) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(statement), {"event": self.event.id, **values}))

    def counters(self) -> tuple[int, int, list[int]]:
        """Booked, offered, waiting."""
        (row,) = self.query("select booked, offered, waiting from events where id = :event")
        return row.booked, row.offered, row.waiting

    def story(self) -> list[tuple[Any, ...]]:
        """Decisions and offers, in the words of the model."""
        rows = self.query(
            "select d.kind, d.job_id, d.outcome, d.reason, d.user_id, d.tickets, w.job_id as made_by from decisions d"
            " left join waitlist_entries w on w.id::text = d.facts ->> 'entry_id' and d.kind = 'offer'"
            " where d.event_id = :event and d.kind not in ('event_set', 'call_off_slice') order by d.number"
        )
        return [
            ("offer", row.made_by, row.user_id, row.tickets)
            if row.kind == "offer"
            else ("decision", row.job_id, row.outcome, row.reason)
            for row in rows
        ]

    def offered_to(self) -> list[int]:
        """Whom offers were made to, in order."""
        rows = self.query(
            "select user_id from decisions where event_id = :event and kind = 'offer' order by number"
        )
        return [row.user_id for row in rows]

    def offer_of(self, user_id: int) -> uuid.UUID:
        """The id of the newest offer to somebody."""
        rows = self.query(
            "select id from offers where event_id = :event and user_id = :user order by created_at desc, id desc",
            user=user_id,
        )
        return rows[0].id if rows else NOWHERE

    def outcome(self, job_id: uuid.UUID) -> tuple[str, str | None]:
        (row,) = self.query("select outcome, reason from decisions where job_id = :job", job=job_id)
        return row.outcome, row.reason

    def assert_clean(self) -> None:
        tally = run_audit(self.line.settings)
        assert tally.ok, tally.findings[:5]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(
        settings, booking_rate_per_second=100_000.0, booking_rate_burst=100_000, user_undecided_max=100_000
    )


@pytest.fixture
def open_window(settings, engine) -> Iterator[Any]:
    lines = []

    def opened(*, batch_max: int = 250, **fields: Any) -> Window:
        lines.append(StandingLine(replace(settings, batch_max=batch_max), engine))
        return Window(engine, lines[-1], make_event(engine, **fields))

    yield opened
    for line in lines:
        line.close()


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
