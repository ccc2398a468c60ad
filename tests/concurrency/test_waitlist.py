"""Two workers at one waitlist at the same moment: without the guards the same tickets are offered twice."""

import uuid
from collections import Counter
from collections.abc import Iterator

import psycopg2
import pytest
from sqlalchemy import text

from shared.db import transaction
from shared.ids import derived_uuid
from shared.line import accept
from shared.line.doors import OPEN_DOOR
from tests.accepting import book
from tests.auditing import audit
from tests.concurrency.test_two_workers import (
    Crossing,
    Race,
    crossing,
    pretend_to_hold,
    without_lock_check,
    without_row_locks,
)
from tests.factories import make_event, make_users
from tests.lines import LineDriver

__all__ = ["crossing"]  # a fixture

# What the database itself would refuse.
WITHOUT_CONSTRAINTS = """
alter table decisions drop constraint decisions_pkey, drop constraint decisions_number_key;
alter table offers drop constraint offers_pkey cascade, drop constraint offers_entry_id_key;
alter table waitlist_entries drop constraint waitlist_entries_pkey cascade,
    drop constraint waitlist_entries_job_id_key;
drop index waitlist_entries_one_live_key;
"""


@pytest.fixture
def race(settings, engine) -> Iterator[Race]:
    """Both tickets are booked and two people wait; in line: both bookings are cancelled, and one more joins."""
    event = make_event(engine, capacity=2)
    users = [user.id for user in make_users(engine, 5)]
    drivers = [LineDriver(settings, engine, f"worker-{number}") for number in range(2)]
    partition = event.id % settings.partitions

    def ask(kind: str, user_id: int, **fields: object) -> uuid.UUID:
        request = book(event.id, user_id, kind=kind, **{"tickets": None, **fields})
        accept.send(drivers[0].runner, settings, drivers[0].installation, request, OPEN_DOOR)
        return request.job_id

    booked = [ask("book", user, tickets=1) for user in users[:2]]
    for user in users[2:4]:
        ask("join_waitlist", user, tickets=1)
    drivers[0].claim(partition)
    drivers[0].decide(partition)
    drivers[0].session.give_away(partition)
    job_ids = [
        str(ask("cancel", user, booking_id=derived_uuid(job_id, 0)))
        for user, job_id in zip(users[:2], booked, strict=True)
    ]
    job_ids.append(str(ask("join_waitlist", users[4], tickets=1)))
    yield Race(engine, drivers[0].redis, drivers, partition, job_ids)
    for driver in drivers:
        driver.close()


def offers(race: Race) -> Counter[int]:
    """How often each was offered tickets."""
    with transaction(race.engine) as session:
        return Counter(session.execute(text("select user_id from offers")).scalars())


def decided(race: Race) -> set[int]:
    """How often the requests in line were decided."""
    return {race.decisions()[job_id] for job_id in race.job_ids}


class TestWithoutGuards:
    def test_everybody_who_waits_is_offered_tickets_twice(
        self, race: Race, crossing: Crossing, monkeypatch
    ) -> None:
        with transaction(race.engine) as session:
            session.execute(text(WITHOUT_CONSTRAINTS))
        pretend_to_hold(race)
        without_lock_check(monkeypatch)
        without_row_locks(monkeypatch)
        race.run(crossing)
        assert race.errors == []
        assert set(offers(race).values()) == {2}
        assert decided(race) == {2}

    def test_the_databases_own_rules_stop_it_alone(self, race: Race, crossing: Crossing, monkeypatch) -> None:
        pretend_to_hold(race)
        without_lock_check(monkeypatch)
        without_row_locks(monkeypatch)
        race.run(crossing)
        assert [type(error) for error in race.errors] == [psycopg2.errors.UniqueViolation]
        assert (set(offers(race).values()), decided(race)) == ({1}, {1})


class TestGuards:
    def test_row_locks_let_one_offer_after_the_other(
        self, race: Race, crossing: Crossing, monkeypatch
    ) -> None:
        """Whoever comes second loads what the first has left: nobody waits whom the tickets would fit twice."""
        pretend_to_hold(race)
        without_lock_check(monkeypatch)
        race.run(crossing)
        assert [type(error) for error in race.errors] == [psycopg2.errors.UniqueViolation]
        assert (set(offers(race).values()), decided(race)) == ({1}, {1})
        assert audit(race.engine).findings == []

    def test_the_lock_and_the_token_let_one_decide(self, race: Race, crossing: Crossing) -> None:
        race.drivers[0].claim(race.partition)
        race.drivers[1].session.held[race.partition] = race.drivers[0].session.held[race.partition]
        race.run(crossing)
        assert len(race.errors) == 1
        assert (set(offers(race).values()), decided(race)) == ({1}, {1})
        assert audit(race.engine).findings == []
