"""Two workers forced on one partition at the same moment: with the guards never a double decision, without them
always. The race is first shown to exist.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import psycopg2
import pytest
from redis import Redis
from sqlalchemy import Engine, text

from shared.db import transaction
from shared.line import accept, keys
from shared.line.doors import OPEN_DOOR
from shared.line.take import Claim, OutdatedTokenError
from shared.store import batches
from shared.store.batches import Guard
from tests.accepting import book
from tests.factories import make_event, make_users
from tests.lines import LineDriver, await_that
from worker.claims import ClaimLostError

CAPACITY, REQUESTS = 3, 10

# What the database itself would refuse: the second guard, taken away to see the race.
WITHOUT_CONSTRAINTS = """
alter table bookings drop constraint bookings_pkey cascade, drop constraint bookings_reference_key,
    drop constraint bookings_job_id_key;
drop index bookings_one_live_key;
alter table decisions drop constraint decisions_pkey, drop constraint decisions_number_key;
alter table events drop constraint events_never_oversold;
"""


@dataclass
class Crossing:
    """Holds both workers after they have loaded and before they write, until both are there, or one has ended or
    waits for the row that the other has locked.
    """

    engine: Engine
    parties: int = 2
    arrived: set[int] = field(default_factory=set)
    ended: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def cross(self) -> None:
        with self.changed:
            self.arrived.add(threading.get_ident())
            self.changed.notify_all()
            deadline = time.monotonic() + 60
            while len(self.arrived) + self.ended < self.parties and not self._somebody_waits():
                assert time.monotonic() < deadline, "the other never came"
                self.changed.wait(0.01)

    def _somebody_waits(self) -> bool:
        waits = (
            "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
        with transaction(self.engine) as session:
            return session.scalar(text(waits)) is not None

    def end(self) -> None:
        with self.changed:
            self.ended += 1
            self.changed.notify_all()


@dataclass
class Race:
    """Two workers, a full partition, and what came of it."""

    engine: Engine
    redis: Redis
    drivers: list[LineDriver]
    partition: int
    job_ids: list[str]
    errors: list[BaseException] = field(default_factory=list)

    def run(self, crossing: Crossing, turns: int = 1) -> None:
        def work(driver: LineDriver) -> None:
            try:
                for _ in range(turns):
                    driver.decide(self.partition)
            except Exception as error:
                self.errors.append(error)
            finally:
                crossing.end()

        threads = [threading.Thread(target=work, args=(driver,)) for driver in self.drivers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def decisions(self) -> Counter[str]:
        with transaction(self.engine) as session:
            rows = session.execute(text("select job_id::text from decisions where arrival is not null"))
            return Counter(rows.scalars())

    def tickets_booked(self) -> int:
        with transaction(self.engine) as session:
            return session.scalar(text("select coalesce(sum(tickets), 0) from bookings"))


@pytest.fixture
def race(settings, engine) -> Iterator[Race]:
    event = make_event(engine, capacity=CAPACITY)
    drivers = [LineDriver(settings, engine, f"worker-{number}") for number in range(2)]
    partition = event.id % settings.partitions
    job_ids = []
    for user in make_users(engine, REQUESTS):
        request = book(event.id, user.id)
        accept.send(drivers[0].runner, settings, drivers[0].installation, request, OPEN_DOOR)
        job_ids.append(str(request.job_id))
    yield Race(engine, drivers[0].redis, drivers, partition, job_ids)
    for driver in drivers:
        driver.close()


@pytest.fixture
def crossing(monkeypatch, engine) -> Crossing:
    """Makes the two meet where it hurts most: both have read, neither has written."""
    crossing = Crossing(engine)
    load = batches.load

    def load_then_meet(*arguments):
        loaded = load(*arguments)
        crossing.cross()
        return loaded

    monkeypatch.setattr(batches, "load", load_then_meet)
    return crossing


def pretend_to_hold(race: Race, token: int = 1_000) -> None:
    """Both believe that they hold the partition, with a token that Redis believes too."""
    race.redis.set(keys.claim_token(race.partition), token)
    for driver in race.drivers:
        driver.session.held[race.partition] = Claim(race.partition, token)


def without_lock_check(monkeypatch) -> None:
    begin: Callable[..., Guard] = batches.begin
    monkeypatch.setattr(
        batches, "begin", lambda *arguments: Guard(holds=True, paused=begin(*arguments).paused)
    )


def without_row_locks(monkeypatch) -> None:
    monkeypatch.setattr(batches, "_EVENTS", batches._EVENTS.replace(" for update", ""))


class TestWithoutGuards:
    def test_the_race_is_seen(self, race, crossing, monkeypatch):
        with transaction(race.engine) as session:
            session.execute(text(WITHOUT_CONSTRAINTS))
        pretend_to_hold(race)
        without_lock_check(monkeypatch)
        without_row_locks(monkeypatch)
        race.run(crossing)
        assert race.errors == []
        assert set(race.decisions().values()) == {2}
        assert race.tickets_booked() == 2 * CAPACITY

    def test_the_databases_own_rules_stop_it_alone(self, race, crossing, monkeypatch):
        """The second guard: keys and checks, without any lock and with one token for both."""
        pretend_to_hold(race)
        without_lock_check(monkeypatch)
        without_row_locks(monkeypatch)
        race.run(crossing)
        assert [type(error) for error in race.errors] == [psycopg2.errors.UniqueViolation]
        assert set(race.decisions().values()) == {1}
        assert race.tickets_booked() == CAPACITY


class TestGuards:
    def test_the_lock_lets_one_claim(self, race):
        assert race.drivers[0].claim(race.partition) == [race.partition]
        assert race.drivers[1].claim(race.partition) == []

    def test_who_does_not_hold_the_lock_decides_nothing(self, race, crossing):
        race.drivers[0].claim(race.partition)
        race.drivers[1].session.held[race.partition] = race.drivers[0].session.held[race.partition]
        race.run(crossing)
        assert [type(error) for error in race.errors] == [ClaimLostError]
        assert set(race.decisions().values()) == {1}
        assert len(race.decisions()) == REQUESTS

    def test_who_has_an_older_token_takes_nothing(self, race, crossing, monkeypatch):
        """The lock is bypassed, the token is not: Redis fences by itself."""
        without_lock_check(monkeypatch)
        without_row_locks(monkeypatch)
        race.drivers[0].claim(race.partition)
        old = race.drivers[0].session.held[race.partition]
        race.drivers[1].session.fence(race.drivers[1].runner, race.drivers[1].installation, race.partition)
        race.drivers[0].session.held[race.partition] = old
        race.run(crossing)
        assert [type(error) for error in race.errors] == [OutdatedTokenError]
        assert set(race.decisions().values()) == {1}

    def test_row_locks_alone_serialise_what_slips_through(self, race, crossing, monkeypatch):
        """Lock and token bypassed: the second waits for the event's row, and finds the jobs in the ledger's key."""
        pretend_to_hold(race)
        without_lock_check(monkeypatch)
        race.run(crossing)
        assert [type(error) for error in race.errors] == [psycopg2.errors.UniqueViolation]
        assert set(race.decisions().values()) == {1}
        assert race.tickets_booked() == CAPACITY

    def test_the_loser_finds_everything_decided(self, race, crossing, monkeypatch):
        pretend_to_hold(race)
        without_lock_check(monkeypatch)
        race.run(crossing)
        for driver in race.drivers:
            driver.session.rollback()
            assert driver.decide(race.partition) == "empty"
        statuses = {race.redis.hget(keys.job(job_id), "status") for job_id in race.job_ids}
        assert statuses == {b"finished"}

    def test_a_worker_that_lost_its_session_loses_its_batch(self, race, crossing, monkeypatch):
        """PostgreSQL ends the holder's session after it has loaded; the successor decides, its commit does not."""
        first, second = race.drivers
        first.claim(race.partition)
        pid = first.session._connection.info.backend_pid

        def end_session() -> None:
            with transaction(race.engine) as session:
                session.execute(text("select pg_terminate_backend(:pid, 5000)"), {"pid": pid})
            await_that(lambda: second.claim(race.partition), what="the successor's claim")

        monkeypatch.setattr(crossing, "cross", end_session)
        with pytest.raises(psycopg2.Error):
            first.decide(race.partition)
        assert race.decisions() == {}
        monkeypatch.setattr(crossing, "cross", lambda: None)
        assert second.decide(race.partition) == REQUESTS
        assert race.decisions() == dict.fromkeys(race.job_ids, 1)
        assert race.tickets_booked() == CAPACITY
