"""A database of the last release, with everything in it, becomes one of this release; its workers go on meanwhile."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, text

from scripts.embedded.postgres import EmbeddedPostgres
from scripts.migrate import MIGRATIONS, migrate
from shared.db import SCHEMA_VERSION, find_schema_version, make_engine, transaction
from shared.services.analytics import catch_up
from shared.services.audit import Tally, audit_tables, snapshot_transaction
from shared.store.analytics import read_freshness
from tests.analytics import naive, rolled
from tests.conftest import PARTITIONS
from tests.ledgers import TruthfulLedger, add_users

BEFORE = "0001"

# What a worker of release 0001 sends: it knows nothing of later columns.
OLD_EVENTS = """select id, capacity, booked, max_per_booking, status, deleted_at is not null, starts_at,
       sales_open_at, sales_close_at, sales_paused, price_minor, currency, last_number, last_hash, last_arrival,
       arrivals_reissued
from events where id = any(:ids) order by id for update"""
OLD_WRITE = """update events e set booked = r.booked, last_number = r.last_number,
    last_hash = decode(r.last_hash, 'hex'), last_arrival = r.last_arrival, arrivals_reissued = r.arrivals_reissued
from json_to_recordset(cast(:events as json)) as r (id bigint, booked int, last_number bigint, last_hash text,
    last_arrival bigint, arrivals_reissued bigint)
where e.id = r.id"""


@pytest.fixture
def old(postgres: EmbeddedPostgres) -> Iterator[tuple[str, Engine]]:
    """A database at 0001 with events, bookings, a ledger and an audit log in it."""
    postgres.create_database("before")
    url = postgres.database_url("before")
    engine = make_engine(url)
    run_alembic(engine, "upgrade", BEFORE)
    users = add_users(engine, 8)
    for event_id in (1, 2):
        ledger = TruthfulLedger(event_id=event_id, host_id=users[0], capacity=5)
        first = ledger.book(users[1], 2)
        for user in users[2:6]:
            ledger.book(user)
        ledger.cancel(users[1], first.booking_id)
        ledger.write(engine)
    yield url, engine
    engine.dispose()
    postgres.drop_database("before")


def run_alembic(engine: Engine, direction: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["partitions"] = PARTITIONS
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        getattr(command, direction)(config, revision)
        connection.commit()


def rows_of(connection: Connection, table: str) -> list[dict[str, Any]]:
    """What was written; not what PostgreSQL makes of it for the search."""
    rows = connection.execute(text(f"select * from {table} order by 1")).mappings()
    return [{name: value for name, value in row.items() if name != "search_text"} for row in rows]


def assert_audit_clean(engine: Engine) -> None:
    tally = Tally()
    with snapshot_transaction(engine) as session:
        audit_tables(session, tally)
    assert tally.findings == []
    assert tally.examined["rules"] == 14


def test_keeps_everything_and_drains_nobody(old: tuple[str, Engine]) -> None:
    url, engine = old
    tables = ("events", "bookings", "decisions", "audit_log", "line_state")
    with engine.connect() as connection:
        before = {name: rows_of(connection, name) for name in tables}
    migrate(url, partitions=PARTITIONS)
    with transaction(engine) as session:
        assert find_schema_version(session) == SCHEMA_VERSION
        for name, rows in before.items():
            after = rows_of(session.connection(), name)
            assert [{key: row[key] for key in rows[0]} for row in after] == rows
        marks = session.execute(text("select drained_up_to, drained_until, drain_reason from events")).all()
        assert marks == [(0, None, None)] * 2
    assert_audit_clean(engine)


def test_an_older_worker_goes_on(old: tuple[str, Engine]) -> None:
    url, engine = old
    migrate(url, partitions=PARTITIONS)
    with engine.begin() as connection:
        row = connection.execute(text(OLD_EVENTS), {"ids": [1]}).one()
        head = {
            "id": 1,
            "booked": row.booked,
            "last_number": row.last_number,
            "last_hash": bytes(row.last_hash).hex(),
            "last_arrival": row.last_arrival,
            "arrivals_reissued": 0,
        }
        connection.execute(text(OLD_WRITE), {"events": orjson.dumps([head]).decode()})
    assert_audit_clean(engine)


def test_can_be_taken_back(old: tuple[str, Engine]) -> None:
    url, engine = old
    with engine.connect() as connection:
        columns = text("select column_name from information_schema.columns where table_name = 'events'")
        before = set(connection.execute(columns).scalars())
    migrate(url, partitions=PARTITIONS)
    run_alembic(engine, "downgrade", BEFORE)
    with engine.connect() as connection:
        assert set(connection.execute(columns).scalars()) == before
    migrate(url, partitions=PARTITIONS)
    assert_audit_clean(engine)


def test_gives_up_when_a_lock_is_not_to_be_had(old: tuple[str, Engine]) -> None:
    """Whoever holds an event for long costs a migration four seconds, and nobody else more."""
    url, engine = old
    with engine.connect() as holder:
        holder.execute(text("select from events for update"))
        with pytest.raises(Exception, match="lock timeout"):
            migrate(url, partitions=PARTITIONS)
        holder.rollback()
    with transaction(engine) as session:
        assert find_schema_version(session) == BEFORE
    migrate(url, partitions=PARTITIONS)
    assert_audit_clean(engine)


def test_counts_what_was_decided_before(old: tuple[str, Engine]) -> None:
    """Roll-ups begin empty; the schedule counts the old ledgers, of which no message tells."""
    url, engine = old
    migrate(url, partitions=PARTITIONS)
    with transaction(engine) as session:
        assert session.scalar(text("select count(*) from outbox")) == 0
        assert not read_freshness(session).complete
    while catch_up(engine):
        pass
    with transaction(engine) as session:
        assert read_freshness(session).complete
    assert rolled(engine) == naive(engine)
    assert rolled(engine)["event_totals"][1,]["counted_number"] == 7
