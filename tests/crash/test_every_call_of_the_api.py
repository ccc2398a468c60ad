"""An API process is killed with SIGKILL at every call that one request makes: whoever repeats it with the
same key has one job; whoever cannot has one or none, and nobody stands in line by half.
"""

import uuid
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine

from shared.line import keys
from shared.line.client import _script
from shared.models import User
from shared.services import control_requests
from shared.settings import Settings
from tests.crash.flows import Desk, opened_desk, unlimited
from tests.crash.lives import Life, Lives, die_at_every_moment, started_lives
from tests.crash.mortality import AFTER
from tests.crash.rest import assert_at_rest, assert_keys_stand_for_jobs
from tests.factories import bearer, make_user
from tests.lines import LineDriver

ACCEPT = "EVALSHA accept"
PEOPLE = 24  # one for each point of a sweep
AT_ONCE = {"Prefer": "wait=0"}
PATIENTLY = {"Prefer": "wait=20"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return unlimited(settings)


@pytest.fixture
def desk(settings: Settings, engine: Engine) -> Iterator[Desk]:
    with opened_desk(settings, engine, people=PEOPLE) as desk:
        yield desk


@pytest.fixture
def lives(settings: Settings) -> Iterator[Lives]:
    with started_lives(settings, "tests.crash.mortal_api") as lives:
        yield lives


@dataclass
class Call:
    """An HTTP request by one of the people. `kind` is what comes into the line by it."""

    method: str
    url: str
    user: int
    kind: str
    body: dict[str, Any] = field(default_factory=dict)


class Counter:
    """The event, the people before it, and the worker behind it."""

    def __init__(self, desk: Desk, driver: LineDriver, lives: Lives, app: Flask) -> None:
        self.desk, self.driver, self.lives, self.client = desk, driver, lives, app.test_client()
        self.event = 0
        for name in ("accept", "status", "withdraw"):  # or the first life would send them, in a call more
            desk.redis.script_load(_script(name)[0])

    def headers(self, user: int, preference: dict[str, str], key: str = "") -> dict[str, str]:
        names = {"Idempotency-Key": key} if key else {}
        return {**bearer(self.desk.settings, User(id=user, role="attendee")), **preference, **names}

    def decide(self) -> None:
        self.driver.decide_all()

    def jobs_of(self, call: Call) -> list[uuid.UUID]:
        """What the ledger has of this request."""
        rows = self.desk.query(
            "select job_id from decisions where event_id = :event and user_id = :user and kind = :kind",
            event=self.event,
            user=call.user,
            kind=call.kind,
        )
        return [row.job_id for row in rows]

    def undecided_of(self, user: int) -> int:
        return int(self.desk.redis.zcount(keys.undecided_by_user(user), user, user))

    def sweep(
        self, make: Callable[[int], Call], *, keyed: bool, patient: bool = False, **order: Any
    ) -> list[str]:
        """Deaths at every moment of it; at which calls."""
        people = iter(self.desk.users)
        accepted = False

        def live(at: int, when: str) -> Life:
            nonlocal accepted
            call, key = make(next(people)), uuid.uuid4().hex if keyed else ""
            headers = self.headers(call.user, PATIENTLY if patient else AT_ONCE, key)
            life = self.lives.live(
                meanwhile=self.decide if patient else None, at=at, when=when, event_id=self.event,
                method=call.method, url=call.url, headers=headers, body=call.body, **order,
            )  # fmt: skip
            # Before that call nothing has happened, from it on all of it.
            stands = accepted or life.killed_at is None or (life.killed_at == ACCEPT and when == AFTER)
            if not patient:
                assert self.undecided_of(call.user) == stands, life
            assert_keys_stand_for_jobs(self.desk)
            told = self.repeat(call, key) if keyed else None
            self.decide()
            self.check(call, told, one=keyed or stands, life=life)
            accepted = stands or life.killed_at == ACCEPT
            return life

        return die_at_every_moment(live, steady=not patient)

    def repeat(self, call: Call, key: str) -> uuid.UUID:
        """The client has heard nothing and says it again, to another process; it never waits."""
        headers = self.headers(call.user, AT_ONCE, key)
        answer = self.client.open(call.url, method=call.method, headers=headers, json=call.body)
        assert answer.status_code in (200, 201, 202), answer.text
        return uuid.UUID(answer.json["job_id"])

    def check(self, call: Call, told: uuid.UUID | None, *, one: bool, life: Any) -> None:
        """Exactly one decision, or without a key none: never two, and nothing left over."""
        jobs = self.jobs_of(call)
        assert len(jobs) == one, (life, jobs)
        assert told is None or jobs == [told]
        if life.answer is not None:
            assert life.answer["status"] in (200, 201, 202), life.answer
            assert jobs == [uuid.UUID(life.answer["body"]["job_id"])]
        assert_at_rest(self.desk, [self.event], jobs)


@pytest.fixture
def counter(desk: Desk, driver: LineDriver, lives: Lives, app: Flask) -> Counter:
    return Counter(desk, driver, lives, app)


def booking(counter: Counter) -> Callable[[int], Call]:
    """There are enough tickets."""
    (counter.event,) = counter.desk.open_events(1, capacity=1_000)
    url = f"/api/bookings/{counter.event}/book"
    return lambda user: Call("POST", url, user, "book", {"tickets": 1})


def registering(counter: Counter) -> Callable[[int], Call]:
    """The same by the other address, which waits if nothing is said."""
    booking(counter)
    return lambda user: Call("POST", f"/api/events/{counter.event}/register", user, "book")


def cancelling(counter: Counter) -> Callable[[int], Call]:
    """Everybody has booked."""
    booking(counter)
    counter.desk.book_each(counter.event)
    counter.decide()
    rows = counter.desk.query("select user_id, id from bookings where event_id = :event", event=counter.event)
    of_user = {row.user_id: row.id for row in rows}
    return lambda user: Call("PUT", f"/api/bookings/{of_user[user]}/cancel", user, "cancel")


def joining(counter: Counter) -> Callable[[int], Call]:
    """Everything is booked."""
    (counter.event,) = counter.desk.open_events(1, capacity=1)
    counter.desk.book(counter.event, make_user(counter.desk.engine).id)
    counter.decide()
    body = {"event_id": counter.event, "tickets": 1}
    return lambda user: Call("POST", "/api/waitlist/join", user, "join_waitlist", body)


def leaving(counter: Counter) -> Callable[[int], Call]:
    """Everybody waits."""
    joining(counter)
    for user in counter.desk.users:
        counter.desk.send(counter.event, "join_waitlist", user, tickets=1)
    counter.decide()
    return lambda user: Call("DELETE", f"/api/waitlist/{counter.event}", user, "leave_waitlist")


def answering(verb: str) -> Callable[[Counter], Callable[[int], Call]]:
    """Everybody is offered a ticket."""

    def prepare(counter: Counter) -> Callable[[int], Call]:
        leaving(counter)
        counter.desk.change(counter.event, capacity=PEOPLE + 1)
        counter.decide()
        rows = counter.desk.query(
            "select user_id, id from offers where event_id = :event", event=counter.event
        )
        of_user = {row.user_id: row.id for row in rows}
        return lambda user: Call(
            "POST", f"/api/waitlist/offers/{of_user[user]}/{verb}", user, f"{verb}_offer"
        )

    return prepare


# How a request gets there, and how many calls it makes at least: those that ask PostgreSQL first make more.
WAYS = {
    "book": (booking, 1),
    "cancel": (cancelling, 5),
    "join": (joining, 1),
    "leave": (leaving, 3),
    "accept": (answering("accept"), 5),
    "decline": (answering("decline"), 5),
}


@pytest.mark.parametrize("keyed", [True, False])
class TestEveryCallOf:
    def test_a_request(self, desk: Desk, counter: Counter, keyed: bool) -> None:
        for way, (prepare, points_min) in WAYS.items():
            points = counter.sweep(prepare(counter), keyed=keyed)
            assert len(points) >= points_min, way
            assert points.count(ACCEPT) == 1, way
        desk.assert_audit_clean()

    def test_a_request_that_waits_for_its_decision(self, desk: Desk, counter: Counter, keyed: bool) -> None:
        """The worker decides meanwhile: the process may die over a decision that stands, and nobody was told."""
        for prepare in (booking, registering):
            points = counter.sweep(prepare(counter), keyed=keyed, patient=True)
            assert points.count(ACCEPT) == 1
            assert "EVALSHA status" in points
        desk.assert_audit_clean()


class TestEveryCallOfWhatOnlyChangesTheLine:
    """Marks, and what an operator does: all of it or nothing, and what is owed to the line comes into it."""

    def sweep(
        self,
        counter: Counter,
        make: Callable[[], tuple[User, str, str, dict[str, Any]]],
        check: Callable[[bool], None],
    ) -> Tally[str]:
        def live(at: int, when: str) -> Life:
            who, method, url, body = make()
            headers = {**bearer(counter.desk.settings, who), **AT_ONCE}
            life = counter.lives.live(
                at=at, when=when, event_id=counter.event, method=method, url=url, headers=headers, body=body
            )  # fmt: skip
            control_requests.put_into_line(counter.desk.engine, counter.desk.line)  # the schedule's turn
            counter.decide()
            check(life.killed_at is None)
            assert_at_rest(counter.desk, [counter.event])
            if life.killed_at is None:
                assert life.answer["status"] in (200, 202), life.answer
            return life

        return Tally(die_at_every_moment(live))

    def waiting(self, counter: Counter) -> list[uuid.UUID]:
        """Two who wait for one ticket each."""
        (counter.event,) = counter.desk.open_events(1, capacity=5)
        return [answer.job_id for answer in counter.desk.book_each(counter.event, counter.desk.users[:2])]

    def outcomes(self, counter: Counter) -> list[str]:
        return [outcome for _, outcome, _ in counter.desk.outcomes(counter.event)]

    def test_leaving_the_line(self, counter: Counter) -> None:
        def make() -> tuple[User, str, str, dict[str, Any]]:
            job_id, _ = self.waiting(counter)
            user = User(id=counter.desk.users[0], role="attendee")
            return user, "DELETE", f"/api/bookings/status/{job_id}", {}

        def check(answered: bool) -> None:
            outcomes = self.outcomes(counter)
            assert outcomes in (["withdrawn", "confirmed"], ["confirmed", "confirmed"])
            assert outcomes[0] == "withdrawn" or not answered

        assert self.sweep(counter, make, check)["EVALSHA withdraw"] == 1

    def test_draining_it(self, counter: Counter, engine: Engine) -> None:
        admin = make_user(engine, role="admin")

        def make() -> tuple[User, str, str, dict[str, Any]]:
            self.waiting(counter)
            return admin, "POST", "/api/admin/queue/drain", {"event_id": counter.event, "reason": "Rain"}

        def check(answered: bool) -> None:
            marks = counter.desk.query(
                "select from decisions where event_id = :event and kind = 'drain'", event=counter.event
            )
            assert self.outcomes(counter) == (["withdrawn"] * 2 if marks else ["confirmed"] * 2)
            assert len(marks) == 1 or (not marks and not answered)

        assert self.sweep(counter, make, check)["commit"] >= 2

    def test_calling_an_event_off(self, counter: Counter) -> None:
        def make() -> tuple[User, str, str, dict[str, Any]]:
            self.waiting(counter)
            counter.decide()
            assert counter.desk.host is not None
            return counter.desk.host, "PATCH", f"/api/events/{counter.event}", {"status": "cancelled"}

        def check(answered: bool) -> None:
            ((status, booked),) = counter.desk.query(
                "select status, booked from events where id = :event", event=counter.event
            )
            assert (status, booked) in (("cancelled", 0), ("scheduled", 2))
            assert status == "cancelled" or not answered
            assert self.outcomes(counter)[2:] == (["done"] if status == "cancelled" else [])

        points = self.sweep(counter, make, check)
        assert points[ACCEPT] == 1
        assert points["commit"] >= 2


def test_the_same_check_sees_a_key_that_is_remembered_before_its_job(counter: Counter) -> None:
    with pytest.raises(AssertionError):
        counter.sweep(booking(counter), keyed=True, in_pieces=True)
