"""Fills a database with years of decisions by `insert … select`, as large as a long-lived installation's.

Rows satisfy every constraint, and an event's counters equal the sums of its rows. Only the hashes are made up: they
have their size and are no chain, because a chain for millions of rows would take an hour. So an audit of those events
finds fault.
"""

from contextlib import closing
from typing import Final

import psycopg2

from scripts.environment import libpq_url

PER_EVENT: Final = 5_000
PER_USER: Final = 50
_TABLES: Final = ("users", "events", "decisions", "bookings")
# Neither look-ups of foreign keys nor the ledger's guards: nothing is updated here, and every key is made just before.
_SESSION: Final = (
    "set session_replication_role = replica",
    "set maintenance_work_mem = '256MB'",
    "set work_mem = '256MB'",
)

_USERS: Final = """
insert into users (name, email, role)
select 'Past ' || n, 'past-' || n || '@example.org', 'attendee' from generate_series(1, %(users)s) n
"""

# Over the last two years, everyone archived; a seat for every fourth request, and one row more than requests, for the
# event's own.
_EVENTS: Final = """
insert into events (host_id, title, time_zone, starts_at, ends_at, sales_close_at, capacity, booked, status,
    last_number, last_arrival, last_hash, created_at, updated_at, archived)
select %(first_user)s, 'Past ' || n, 'Europe/Paris', t.at, t.at, t.at, %(each)s / 4, %(each)s / 4, 'scheduled',
    %(each)s + 1, %(each)s, sha256(int8send(n)), t.at - interval '60 days', t.at - interval '60 days', true
from generate_series(1, %(events)s) n,
    lateral (select now() - interval '730 days' + n * interval '720 days' / %(events)s) t (at)
"""

_DECISIONS: Final = """
insert into decisions (job_id, event_id, number, arrival, kind, user_id, tickets, outcome, reason, booking_id,
    available_after, facts, accepted_at, decided_at, hash)
select uuidv7(t.at - now()), e.id, a + 1, a, 'book',
    %(first_user)s + ((e.id * 7919 + a) %% %(users)s), 1,
    case when a <= %(each)s / 4 then 'confirmed' else 'rejected' end,
    case when a > %(each)s / 4 then 'sold_out' end,
    case when a <= %(each)s / 4 then uuidv7(t.at - now()) end,
    greatest(0, %(each)s / 4 - a),
    case when a <= %(each)s / 4 then '{}'::jsonb else '{"available": 0}'::jsonb end,
    t.at, t.at + interval '20 ms', sha256(int8send(e.id * 1000003 + a))
from events e, generate_series(1, %(each)s) a,
    lateral (select e.created_at + interval '1 day' + a * interval '2 ms') t (at)
where e.archived
order by e.id, a
"""

_BOOKINGS: Final = """
insert into bookings (id, reference, event_id, user_id, job_id, tickets, status, price_minor, currency, arrival,
    created_at)
select booking_id, 'P' || event_id || '-' || arrival, event_id, user_id, job_id, 1, 'confirmed', 0, 'EUR', arrival,
    decided_at
from decisions where booking_id is not null
"""


def fill_past(database_url: str, decisions: int) -> None:
    """Adds as many past decisions, a quarter of them bookings, to a migrated database without events.

    Indexes that no constraint needs are made anew afterwards, which is much faster; then everything is vacuumed and
    analysed, as autovacuum does in time. Some 30 µs a decision.
    """
    each = min(PER_EVENT, decisions)
    counts = {"each": each, "events": max(1, decisions // each), "users": max(each, decisions // PER_USER)}
    with closing(psycopg2.connect(libpq_url(database_url))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in _SESSION:
                cursor.execute(statement)
            cursor.execute("select coalesce(max(id), 0) + 1 from users")
            counts["first_user"] = int(cursor.fetchall()[0][0])
            cursor.execute("""
                select i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) from pg_index i
                where i.indrelid in ('decisions'::regclass, 'bookings'::regclass)
                    and not exists (select from pg_constraint c where c.conindid = i.indexrelid)
            """)
            indexes = cursor.fetchall()
            for name, _ in indexes:
                cursor.execute(f"drop index {name}")
            for statement in (_USERS, _EVENTS, _DECISIONS, _BOOKINGS):
                cursor.execute(statement, counts)
            for _, definition in indexes:
                cursor.execute(definition)
            for table in _TABLES:
                cursor.execute(f"vacuum (analyze) {table}")
