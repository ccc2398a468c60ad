"""A task worker is killed with SIGKILL before and after every call of its turn: whoever is to be told is told once, and
whatever is due is done once.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from shared.db import transaction
from shared.line import keys
from shared.services import outbox
from shared.settings import Settings
from tests.analytics import naive, rolled
from tests.crash.flows import Desk, opened_desk
from tests.crash.lives import Life, Lives, die_at_every_moment, started_lives
from tests.crash.rest import assert_keys_stand_for_jobs, left_behind
from tests.lines import LineDriver, await_that
from tests.telling import tell
from worker.schedule import Schedule

OUTBOX = ["drain_outbox"]
DUE = [
    "put_control_requests",
    "expire_offers",
    "serve_waitlists",
    "announce_sales",
    "end_pause",
    "release_leftovers",
]
SLICE = 2  # of who is told of one message: three holders are two slices

# Who is told what of one run: of bookings, a cancellation, an offer, a move, a change, an opened sale.
TOLD = Counter(
    {
        (0, "booking_confirmed"): 1,
        (1, "booking_confirmed"): 1,
        (2, "booking_confirmed"): 1,
        (0, "booking_cancelled"): 1,
        (3, "offer_made"): 1,
        (4, "waitlist_moved"): 1,
        (1, "event_changed"): 1,
        (2, "event_changed"): 1,
        (3, "event_changed"): 1,
        (4, "event_changed"): 1,
        (5, "sales_open"): 1,
        (6, "sales_open"): 1,
        (7, "sales_open"): 1,
    }
)


@pytest.fixture
def lives(settings: Settings) -> Iterator[Lives]:
    with started_lives(settings, "tests.crash.mortal_teller") as lives:
        yield lives


@pytest.fixture
def desk(settings: Settings, engine: Engine) -> Iterator[Desk]:
    with opened_desk(settings, engine) as desk:
        yield desk


def sweep(
    desk: Desk, lives: Lives, ask: Callable[[], None], recovered: Callable[[], None], **order: Any
) -> Counter[str]:
    """Deaths at every moment of a turn; at which calls."""

    def live(at: int, when: str) -> Life:
        ask()
        begin_turns(desk, order["entries"])
        life = lives.live(at=at, when=when, slice=SLICE, **order)
        recovered()
        return life

    return Counter(die_at_every_moment(live))


def begin_turns(desk: Desk, entries: list[str]) -> None:
    """Every entry is due, whoever died over its last turn."""
    desk.redis.delete(*(keys.schedule_turn(name) for name in entries))


class News:
    """An event with people who have booked it, wait for it and are interested in it, to whom things happen."""

    def __init__(self, desk: Desk, driver: LineDriver) -> None:
        self.desk, self.driver = desk, driver
        self.waiting: list[Any] = []

    def make(self) -> None:
        """Anew when the last news were told."""
        if self.messages() and self.messages() == self.waiting:
            return
        self.happen()
        self.waiting = self.messages()

    def messages(self) -> list[Any]:
        return self.desk.query("select id, topic, payload from outbox order by id")

    def happen(self) -> None:
        desk = self.desk
        (self.event,) = desk.open_events(1, capacity=3)
        for user in desk.users[5:8]:
            desk.execute(
                "insert into interests (event_id, user_id) values (:event, :user)",
                event=self.event,
                user=user,
            )
        for person in range(3):
            desk.book(self.event, desk.users[person])
        for person in (3, 4):
            desk.send(self.event, "join_waitlist", desk.users[person], tickets=1)
        self.driver.decide_all()
        ((booking,),) = desk.query(
            "select id from bookings where event_id = :event and user_id = :user",
            event=self.event,
            user=desk.users[0],
        )
        desk.send(self.event, "cancel", desk.users[0], booking_id=booking)
        self.driver.decide_all()
        changes = {"venue": {"from": "a", "to": "b"}}
        with transaction(desk.engine) as session:
            outbox.add(
                session, "event_changed", event_id=self.event, payload={"version": 2, "changes": changes}
            )
            outbox.add(session, "sales_open", event_id=self.event)

    def check(self) -> None:
        """Nothing has happened at all, or whoever is well goes on, and everything has.

        PostgreSQL notices in its own time that a lock's holder is dead.
        """
        desk = self.desk
        if self.messages() == self.waiting:
            assert not desk.query("select from notifications where event_id = :event", event=self.event)
            return
        await_that(
            lambda: tell(desk.engine) or not desk.query("select from outbox where set_aside_at is null"),
            what="an empty outbox",
        )
        rows = desk.query("select user_id, kind from notifications where event_id = :event", event=self.event)
        told = Counter((desk.users.index(row.user_id), row.kind) for row in rows)
        assert told == TOLD, told


class TestTheOutbox:
    @pytest.fixture
    def news(self, desk: Desk, driver: LineDriver, monkeypatch: pytest.MonkeyPatch) -> News:
        monkeypatch.setattr(outbox, "SLICE", SLICE)
        return News(desk, driver)

    def test_tells_everything_once(self, desk: Desk, lives: Lives, news: News) -> None:
        points = sweep(desk, lives, news.make, news.check, entries=OUTBOX)
        assert points.total() >= 25
        assert points["commit"] >= 2
        assert sum(count for what, count in points.items() if "into notifications" in what) >= 2
        assert rolled(desk.engine) == naive(desk.engine)

    def test_the_same_check_sees_that_messages_are_forgotten_first(
        self, desk: Desk, lives: Lives, news: News
    ) -> None:
        with pytest.raises(AssertionError):
            sweep(desk, lives, news.make, news.check, entries=OUTBOX, forgets_first=True)


class DueThings:
    """An offer that is over, an event that is called off and one with more tickets, of which the line does not know
    yet; a sale that has opened; a pause whose end has come.
    """

    def __init__(self, desk: Desk, driver: LineDriver, schedule: Schedule) -> None:
        self.desk, self.driver, self.schedule, self.runs = desk, driver, schedule, 0

    def make(self) -> None:
        desk, self.runs = self.desk, self.runs + 1
        self.over, self.off, self.more = desk.open_events(3, capacity=1)
        now = desk.query("select clock_timestamp()")[0][0]
        (self.opened,) = desk.open_events(1, sales_open_at=now)
        desk.execute(
            "insert into interests (event_id, user_id) values (:event, :user)",
            event=self.opened,
            user=desk.users[7],
        )
        for event in (self.over, self.off, self.more):
            desk.book(event, desk.users[0])
            desk.send(event, "join_waitlist", desk.users[1], tickets=1)
        self.driver.decide_all()
        ((booking,),) = desk.query("select id from bookings where event_id = :event", event=self.over)
        desk.send(self.over, "cancel", desk.users[0], booking_id=booking)
        self.driver.decide_all()
        desk.call_off(self.off, put=False)
        desk.change(self.more, put=False, capacity=2)
        desk.execute(
            "update line_state set paused = true, pause_reason = 'x', paused_at = now(), resume_at = now()"
        )

    def check(self) -> None:
        """Another has a turn, the worker decides, and once more; then everything is done, and once."""
        desk = self.desk
        await_that(self.is_over, what="everything that was due")
        rows = desk.query(
            "select event_id, kind, outcome from decisions where event_id = any(:events)"
            " and kind in ('expire_offer', 'call_off', 'serve_waitlist') order by kind, event_id",
            events=[self.over, self.off, self.more],
        )
        assert [tuple(row) for row in rows] == [
            (self.off, "call_off", "done"),
            (self.over, "expire_offer", "done"),
            (self.more, "expire_offer", "done"),  # of the offer that the new ticket was
            (self.more, "serve_waitlist", "done"),
        ], rows
        kinds = desk.query("select kind from notifications where event_id = :event", event=self.opened)
        assert kinds == [("sales_open",)], kinds
        assert desk.query("select paused from line_state") == [(False,)]
        ((resumed,),) = desk.query("select count(*) from audit_log where action = 'line.resume'")
        assert resumed == self.runs
        assert left_behind(desk.redis) == []
        assert_keys_stand_for_jobs(desk)

    def is_over(self) -> bool:
        begin_turns(self.desk, DUE)
        self.schedule.run_once()
        self.driver.decide_all()
        tell(self.desk.engine)
        owed = "select from control_requests c where not exists (select from decisions d where d.job_id = c.job_id)"
        due = "select from offers where status = 'open' and expires_at <= now()"
        return not self.desk.query(owed) and not self.desk.query(due)


class TestTheSchedule:
    @pytest.fixture
    def due(self, desk: Desk, driver: LineDriver, engine: Engine) -> DueThings:
        """Offers end as soon as they are made."""
        driver.batches._terms = replace(driver.batches._terms, offer_lifetime=timedelta(microseconds=1))
        schedule = Schedule(desk.settings, engine, desk.line, desk.redis, handlers=())
        schedule.entries = tuple(entry for entry in schedule.entries if entry.name in DUE)
        return DueThings(desk, driver, schedule)

    def test_does_everything_once(self, desk: Desk, lives: Lives, due: DueThings) -> None:
        points = sweep(desk, lives, due.make, due.check, entries=DUE)
        assert points.total() >= 40
        assert points["EVALSHA accept"] == 3
        assert points["commit"] >= 6
        desk.assert_audit_clean()
