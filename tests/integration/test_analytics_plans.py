"""Analytics' plans with much in the tables, analysed and never analysed: what is read does not grow with them."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from scripts.embedded.postgres import EmbeddedPostgres
from shared.db import make_engine, transaction
from shared.domain.analytics import Period, Span
from shared.services.analytics_answers import read_dashboard, read_event_stats, read_period
from shared.store.analytics_ledger import add_activity, plan_by_index, read_ledger
from shared.store.analytics_state import count_registrations, list_behind
from shared.store.analytics_tables import note_heads, read_counts
from tests.analytics import today
from tests.conftest import fresh_database
from tests.ledgers import add_users
from tests.plans import nodes_of

# Tables of which there are as many rows as there are events, bookings, decisions or people.
LARGE = {
    "event_totals", "event_days", "event_day_revenue", "event_months", "user_days", "events", "bookings", "decisions",
    "users",
}  # fmt: skip
FILL = """
set local session_replication_role = replica;
insert into users (name, email, role, created_at)
    select 'p', 'plan-' || n || '@example.org', 'attendee', now() - make_interval(days => n % 300)
    from generate_series(1, 20000) n;
insert into events (id, host_id, title, time_zone, starts_at, ends_at, sales_close_at, capacity, last_number)
    overriding system value select n, :host, 'e', 'UTC', now(), now(), now(), 10, 9 from generate_series(1, 20000) n;
insert into bookings (id, reference, event_id, user_id, job_id, tickets, status, price_minor, currency, arrival,
        created_at)
    select md5('b' || n)::uuid, n::text, 1 + n % 20000, :host + (n + n / 20000) % 20000, md5('j' || n)::uuid, 1, 'confirmed', 100,
        'EUR', n, now() from generate_series(1, 60000) n;
insert into decisions (job_id, event_id, number, arrival, kind, user_id, tickets, outcome, booking_id, available_after,
        facts, accepted_at, decided_at, hash)
    select md5('j' || n)::uuid, 1 + n % 20000, 1 + n / 20000, 1, 'book', :host + n % 20000, 1, 'confirmed',
        md5('b' || n)::uuid, 0, '{}', now(), now(), '' from generate_series(1, 59999) n;
insert into event_totals (event_id, known_number, counted_number, bookings)
    select n, 2, 2, n % 100 from generate_series(1, 20000) n;
insert into event_days (event_id, day, bookings, impressions)
    select 1 + n % 20000, current_date - n % 300, n % 7, n % 11 from generate_series(1, 100000) n
    on conflict do nothing;
insert into event_day_revenue (event_id, day, currency, booked_minor)
    select event_id, day, 'EUR', 100 from event_days;
insert into event_months (event_id, month, bookings, impressions)
    select event_id, date_trunc('month', day)::date, sum(bookings), sum(impressions) from event_days group by 1, 2;
insert into user_days (user_id, day) select :host + n % 20000, current_date - n % 300 from generate_series(1, 60000) n
    on conflict do nothing;
"""


@pytest.fixture(scope="module", params=["analysed", "never analysed"])
def filled(postgres: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[Engine]:
    with fresh_database(postgres) as url:
        engine = make_engine(url)
        fill(engine, analyse=request.param == "analysed")
        yield engine
        engine.dispose()


def fill(engine: Engine, *, analyse: bool) -> None:
    host = add_users(engine, 1)[0]
    with engine.begin() as connection:
        for table in LARGE:  # what autovacuum would analyse in the middle of the test
            connection.execute(text(f"alter table {table} set (autovacuum_enabled = false)"))
        connection.execute(text(FILL), {"host": host})
    if analyse:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("vacuum analyze"))


def whole_tables(engine: Engine, read: Callable[[Session], object]) -> set[str]:
    """Large tables that are read through, or whose index is."""
    return {
        f"{node['Node Type']} of {node['Relation Name']}"
        for node in nodes_of(engine, read)
        if node.get("Relation Name") in LARGE and node["Node Type"] == "Seq Scan"
    }


class TestAnswers:
    def test_read_no_large_table_through(self, filled):
        day = today(filled)
        for first in (day - timedelta(days=29), day - timedelta(days=365), day - timedelta(days=101)):
            assert (
                whole_tables(filled, lambda session, first=first: read_period(session, Period(first, day)))
                == set()
            )
        assert whole_tables(filled, lambda session: read_dashboard(session, day)) == set()
        period = Period(day - timedelta(days=365), day)
        assert whole_tables(filled, lambda session: read_event_stats(session, 77, period)) == set()

    def test_estimate_few_rows_of_what_is_behind(self, filled):
        """The planner takes a third of the events to be behind: the order of the index keeps it from looking."""
        nodes = nodes_of(filled, lambda session: list_behind(session, limit=1000))
        assert {node.get("Index Name") for node in nodes if "Relation Name" in node} == {
            "event_totals_behind_idx"
        }


class TestCounting:
    def test_reads_the_rows_that_are_new_by_index(self, filled):
        spans = [Span(event_id=event_id, after=1, up_to=3) for event_id in range(1, 200)]

        def count(session: Session) -> None:
            plan_by_index(session)
            note_heads(session, dict.fromkeys(range(1, 200), 2))
            read_counts(session, range(1, 200))
            read_ledger(session, spans)
            add_activity(session, spans)

        assert whole_tables(filled, count) == set()

    def test_of_registrations_reads_the_last_days(self, filled):
        with transaction(filled) as session:
            session.execute(text("update analytics_state set registrations_to = current_date"))
        nodes = nodes_of(filled, count_registrations)
        assert {node.get("Index Name") for node in nodes if node.get("Relation Name") == "users"} <= {
            "users_registered_idx",
            None,  # the heap beside a bitmap of it
        }
        assert whole_tables(filled, count_registrations) == set()
