"""The batch's plans on a database that was never analysed: a fresh install in its first sell-out.

There the planner guesses, and a join of the batch with `bookings` becomes a hash join over the whole table.
"""

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from shared.clock import utc_now
from shared.db import make_engine
from shared.domain.requests import Request
from shared.domain.snapshot import Terms
from shared.store import batches
from tests.conftest import fresh_database
from tests.factories import make_event
from worker.claims import ClaimSession

ROWS = 100_000
TABLES = {"bookings", "decisions", "events", "offers", "users", "waitlist_entries"}
FILL = """
set session_replication_role = replica;
insert into users (name, email, role)
    select 'p', 'plan-' || n || '@example.org', 'attendee' from generate_series(1, %(rows)s) n;
insert into bookings (id, reference, event_id, user_id, job_id, tickets, status, price_minor, currency, arrival, created_at)
    select md5('b' || n)::uuid, n::text, %(event)s, n, md5('j' || n)::uuid, 1, 'confirmed', 0, 'EUR', n, now()
    from generate_series(1, %(rows)s) n;
insert into decisions (job_id, event_id, number, arrival, kind, user_id, tickets, outcome, booking_id, available_after,
        facts, accepted_at, decided_at, hash)
    select md5('j' || n)::uuid, %(event)s, n + 1, n, 'book', n, 1, 'confirmed', md5('b' || n)::uuid, 0, '{}', now(),
        now(), '' from generate_series(1, %(rows)s) n;
insert into waitlist_entries (id, event_id, user_id, job_id, number, tickets, status, created_at, ended_at)
    select md5('w' || n)::uuid, %(event)s, n, md5('wj' || n)::uuid, n + 1, n %% 10 + 1,
        case n %% 3 when 0 then 'offered' when 1 then 'waiting' else 'left' end, now(),
        case n %% 3 when 2 then now() end from generate_series(1, %(rows)s) n;
insert into offers (id, entry_id, event_id, user_id, tickets, status, expires_at, created_at)
    select md5('o' || n)::uuid, md5('w' || n)::uuid, %(event)s, n, n %% 10 + 1, 'open', now(), now()
    from generate_series(3, %(rows)s, 3) n;
update events set offered = 5, waiting = array_fill(%(rows)s / 30, array[10]) where id = %(event)s;
"""


class Explaining:
    """A cursor that keeps the plan of every query it is given."""

    def __init__(self, cursor: Any) -> None:
        self.cursor = cursor
        self.plans: list[dict[str, Any]] = []

    def execute(self, statement: str, parameters: tuple[Any, ...] | None = None) -> None:
        if statement.lstrip().startswith("select"):
            self.cursor.execute(f"explain (format json) {statement}", parameters)
            self.plans.append(self.cursor.fetchone()[0][0]["Plan"])
        self.cursor.execute(statement, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cursor, name)

    def nodes(self) -> Iterator[dict[str, Any]]:
        waiting = list(self.plans)
        while waiting:
            node = waiting.pop()
            yield node
            waiting += node.get("Plans", [])

    def kinds(self) -> set[str]:
        return {node["Node Type"] for node in self.nodes()}

    def scans(self) -> set[tuple[str, str]]:
        return {
            (node["Relation Name"], node["Node Type"]) for node in self.nodes() if "Relation Name" in node
        }


@pytest.fixture(scope="module")
def filled(postgres) -> Iterator[tuple[str, int]]:
    """Its address, and the event of which there is everything."""
    with fresh_database(postgres) as url:
        yield url, fill(url)


def fill(url: str) -> int:
    engine = make_engine(url)
    event = make_event(engine, capacity=ROWS)
    engine.dispose()
    connection = psycopg2.connect(url.replace("+psycopg2", ""))
    connection.autocommit = True
    with connection.cursor() as cursor:
        for table in TABLES:  # what autovacuum would analyse in the middle of the test
            cursor.execute(f"alter table {table} set (autovacuum_enabled = false)")
        cursor.execute(FILL, {"rows": ROWS, "event": event.id})
        cursor.execute("select count(*) from pg_stats where tablename = any(%s)", (list(TABLES),))
        assert cursor.fetchone() == (0,)
    connection.close()
    return event.id


@pytest.fixture
def event_id(filled) -> int:
    return filled[1]


@pytest.fixture
def session(filled) -> Iterator[ClaimSession]:
    """Opened last: PostgreSQL ends a claim session that is silent for three seconds."""
    session = ClaimSession(filled[0], "plans")
    yield session
    session.close()


def requests(event_id: int, count: int) -> list[Request]:
    """A batch with everything in it: newcomers, people with a booking, cancellations, people who wait."""
    made = []
    for number in range(count):
        is_cancel, is_accept = number % 5 == 4, number % 5 == 3
        made.append(
            Request(
                job_id=uuid.uuid4(),
                kind="cancel" if is_cancel else "accept_offer" if is_accept else "book",
                event_id=event_id,
                user_id=number + 1 if number % 2 else ROWS + number,
                arrival=number,
                accepted_at=utc_now(),
                tickets=None if is_cancel else 1,
                booking_id=uuid.uuid4() if is_cancel else None,
                offer_id=uuid.uuid4() if is_accept else None,
            )
        )
    return made


def plans_of(session: ClaimSession, event_id: int, count: int) -> Explaining:
    cursor = Explaining(session.cursor)
    batch = requests(event_id, count)
    session.cursor.execute("begin")
    batches.find_recorded(cursor, [str(request.job_id) for request in batch])
    snapshot, _ = batches.load(cursor, batch, Terms())
    batches.load_slice(cursor, batch[0], 200)
    session.rollback()
    assert event_id in snapshot.events
    return cursor


class TestBatch:
    def test_only_looks_things_up(self, session, event_id):
        found = plans_of(session, event_id, 250)
        assert {table for table, _ in found.scans()} == TABLES
        assert {kind for _, kind in found.scans()} <= {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}
        assert not found.kinds() & {"Hash Join", "Merge Join", "Hash", "Seq Scan"}
        lookups = [node for node in found.nodes() if "Index" in node["Node Type"]]
        assert all("Index Cond" in node for node in lookups)  # none of them walks a whole index
        # nor everybody who waits, to find those who want so many tickets
        indexes = {node.get("Index Name") for node in lookups}
        assert "waitlist_entries_next_idx" in indexes
        assert "waitlist_entries_place_idx" not in indexes

    def test_is_planned_alike_whatever_its_size(self, session, event_id):
        assert plans_of(session, event_id, 250).scans() == plans_of(session, event_id, 5).scans()

    def test_runs_in_a_session_that_never_reads_whole_tables(self, session):
        found = {}
        for name in ("enable_seqscan", "jit", "idle_session_timeout", "idle_in_transaction_session_timeout"):
            session.cursor.execute(f"show {name}")
            found[name] = session.cursor.fetchone()[0]
        assert list(found.values()) == ["off", "off", "3s", "3s"]

    def test_would_read_the_whole_table_in_an_ordinary_session(self, session, event_id):
        """The negative control: the same look-up as a join, with the settings that everybody has."""
        cursor = Explaining(session.cursor)
        cursor.execute("set enable_seqscan = on")
        cursor.execute(
            "select b.id from unnest(%s::bigint[]) v join bookings b on b.event_id = %s and b.user_id = v"
            " and b.status <> 'cancelled'",
            (list(range(250)), event_id),
        )
        assert cursor.kinds() & {"Hash Join", "Merge Join", "Seq Scan"}
