"""Fills a database with events and bookings by `insert … select`, as large as a long-lived installation's.

Rows satisfy every constraint and the counters equal the sums of their rows. What stays out is the ledger (no list reads
it, and a chain of hashes for millions of rows would take an hour) and what only writers of roll-ups read. So an audit
of such a database finds fault.
"""

from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

import psycopg2

_TABLES: Final = (
    "users",
    "events",
    "bookings",
    "event_days",
    "event_months",
    "event_totals",
    "day_totals",
    "start_days",
    "activity_days",
)
BOOKINGS_PER_EVENT: Final = 5
RARE_EVENTS: Final = 40  # that have the rare word, however many events there are
FEW_BOOKINGS: Final = 5
MANY_BOOKINGS: Final = 10_000
RARE_WORD: Final = "zephyr"
COMMON_WORD: Final = "concert"  # in half of the events
PAST_WORD: Final = "bygone"  # in each event that is over, and in no other


@dataclass(frozen=True, slots=True)
class Filled:
    """Ids to ask for: an event on sale, who has few and who has many bookings, a host."""

    event_id: int
    few_user_id: int
    many_user_id: int
    host_id: int


# Hosts, then attendees, then the two whose bookings are counted.
_USERS: Final = """
insert into users (name, email, role)
select case when n <= %(hosts)s then 'Host ' else 'Person ' end || n, 'fill-' || n || '@example.org',
       case when n <= %(hosts)s then 'host' else 'attendee' end
from generate_series(1, %(hosts)s + %(attendees)s + 2) n
"""

# Spread evenly over two years back and two years ahead. Half are over, and those have been looked at most; of what
# comes, the next sixty days are sold out but for one in ten.
_EVENTS: Final = """
insert into events (host_id, title, description, venue, category, time_zone, starts_at, ends_at, sales_close_at,
    price_minor, capacity, booked, status, impressions, created_at, updated_at, archived)
select
    1 + n %% %(hosts)s,
    (array['Autumn','Winter','Spring','Summer','Royal','Open','Late','Early'])[1 + n %% 8] || ' '
        || case when n %% 2 = 0 then 'Concert ' else 'Evening ' end || to_hex(hashint4(n) & 65535)
        || case when n %% (%(events)s / %(rare)s) = %(events)s / %(rare)s / 2 then ' Zephyr' else '' end,
    'Doors open an hour before; ' || (array['jazz','opera','chess','poetry','cinema','dance'])[1 + n %% 6]
        || ' for everybody who likes ' || to_hex(hashint4(n + 7) & 1023)
        || case when t.at < now() then ' (bygone)' else '' end,
    'Hall ' || (n %% 500) || ', ' || (array['Paris','Lyon','Wien','Köln','Zürich'])[1 + n %% 5],
    (array['music','theatre','sport','art','talk','film','food','games','tech','family'])[1 + (hashint4(n) & 7)],
    'Europe/Paris', t.at, t.at + interval '2 hours', t.at,
    (n %% 40) * 250,
    case when t.at between now() and now() + interval '60 days' and n %% 10 <> 0 then b.tickets else 40 end,
    b.tickets,
    case when n %% 50 = 0 then 'cancelled' when n %% 50 = 1 then 'draft' else 'scheduled' end,
    (hashint4(n + 3) & 1023) * case when t.at < now() then 5 else 1 end,
    t.at - interval '90 days', t.at - interval '90 days',
    t.at < now() - interval '3 hours'
from generate_series(1, %(events)s) n,
    lateral (select now() + (n::float / %(events)s - 0.5) * interval '1461 days') t (at),
    lateral (
        select %(each)s - 1 + (n %% (%(events)s / %(few)s) = 0 and n / (%(events)s / %(few)s) <= %(few)s)::int
            + (n %% (%(events)s / %(many)s) = 0 and n / (%(events)s / %(many)s) <= %(many)s)::int
    ) b (tickets)  -- of the live bookings below
"""

_BOOKINGS: Final = """
insert into bookings (id, reference, event_id, user_id, job_id, tickets, status, price_minor, currency, arrival,
    created_at, cancelled_at)
select uuidv7(at - now()), 'F' || n || '-' || j, n,
    %(hosts)s + 1 + (n::bigint * 7919 + j * %(attendees)s / 5) %% %(attendees)s,
    uuidv7(at - now()), 1, case when j = 5 then 'cancelled' else 'confirmed' end, 0, 'EUR', j, at,
    case when j = 5 then at end
from generate_series(1, %(events)s) n, generate_series(1, %(each)s) j,
    lateral (select now() - interval '400 days' + n * interval '300 days' / %(events)s) t (at)
"""

_SPECIAL_BOOKINGS: Final = """
insert into bookings (id, reference, event_id, user_id, job_id, tickets, status, price_minor, currency, arrival,
    created_at)
select uuidv7(at - now()), prefix || n, n, user_id, uuidv7(at - now()), 1, 'confirmed', 0, 'EUR', 6, at
from (values ('S', %(few_user)s, %(few)s), ('M', %(many_user)s, %(many)s)) s (prefix, user_id, count),
    lateral (select i * (%(events)s / count) as n from generate_series(1, count) i) e,
    lateral (select now() - interval '90 days' + n * interval '80 days' / %(events)s) t (at)
"""

# What the roll-ups would have made of the ledgers.
_ROLL_UPS: Final = (
    """
insert into event_days (event_id, day, bookings, tickets, cancellations, tickets_cancelled, impressions)
select b.event_id, b.created_at::date, count(*), sum(b.tickets), count(*) filter (where b.status = 'cancelled'),
    coalesce(sum(b.tickets) filter (where b.status = 'cancelled'), 0), max(e.impressions)
from bookings b join events e on e.id = b.event_id group by 1, 2
""",
    """
insert into event_months (event_id, month, bookings, impressions)
select event_id, date_trunc('month', day), sum(bookings), sum(impressions) from event_days group by 1, 2
""",
    """
insert into event_totals (event_id, known_number, counted_number, starts_on, published, capacity, bookings, tickets,
    cancellations, tickets_cancelled)
select e.id, d.bookings, d.bookings, e.starts_at::date, e.status = 'scheduled', e.capacity, d.bookings, d.tickets,
    d.cancellations, d.tickets_cancelled
from events e join (
    select event_id, sum(bookings) as bookings, sum(tickets) as tickets, sum(cancellations) as cancellations,
        sum(tickets_cancelled) as tickets_cancelled
    from event_days group by 1
) d on d.event_id = e.id
""",
    """
insert into day_totals (day, bookings, tickets, cancellations, tickets_cancelled, impressions)
select day, sum(bookings), sum(tickets), sum(cancellations), sum(tickets_cancelled), sum(impressions)
from event_days group by 1
""",
    """
insert into start_days (day, events, capacity, tickets)
select starts_on, count(*), sum(capacity), sum(tickets - tickets_cancelled) from event_totals where published group by 1
""",
    """
insert into activity_days (day, previous_day, users)
select day, previous_day, count(*) from (
    select day, coalesce(lag(day) over (partition by user_id order by day), '-infinity') as previous_day
    from (select distinct user_id, created_at::date as day from bookings) u
) d group by 1, 2
""",
    "update analytics_state set history_counted = true, walked_to = (select max(id) from events)",
)


def fill(database_url: str, *, events: int, analyse: bool = True) -> Filled:
    """Fills an empty, migrated database: `events` events, five times as many bookings, a tenth as many people.

    Indexes that no constraint needs are made anew afterwards, from the database's own definitions, which is much
    faster; then everything is vacuumed and analysed, as autovacuum does in time, or never is.
    """
    hosts, attendees = max(events // 1_000, 10), max(events // 10, 50)
    many = min(MANY_BOOKINGS, events)
    counts = {
        "hosts": hosts,
        "attendees": attendees,
        "events": events,
        "each": BOOKINGS_PER_EVENT,
        "rare": min(RARE_EVENTS, events),
        "few": min(FEW_BOOKINGS, events),
        "few_user": hosts + attendees + 1,
        "many": many,
        "many_user": hosts + attendees + 2,
    }
    with closing(psycopg2.connect(database_url.replace("+psycopg2", ""))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            if not analyse:
                for table in _TABLES:
                    cursor.execute(f"alter table {table} set (autovacuum_enabled = false)")
            _fill(cursor, counts)
            if analyse:
                for table in _TABLES:
                    cursor.execute(f"vacuum (analyze) {table}")
            cursor.execute(
                "select id, host_id from events where not archived and status = 'scheduled' and booked < capacity"
                " and starts_at > now() order by starts_at limit 1"
            )
            event_id, host_id = cursor.fetchall()[0]
    return Filled(event_id, counts["few_user"], counts["many_user"], host_id)


def _fill(cursor: Any, counts: dict[str, int]) -> None:  # noqa: ANN401 - psycopg2's cursor
    cursor.execute("set session_replication_role = replica")  # no foreign-key look-up for each row
    cursor.execute("set maintenance_work_mem = '256MB'")
    cursor.execute("set work_mem = '256MB'")
    cursor.execute("""
        select i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) from pg_index i
        where i.indrelid in ('events'::regclass, 'bookings'::regclass)
            and not exists (select from pg_constraint c where c.conindid = i.indexrelid)
    """)
    indexes = cursor.fetchall()
    for name, _ in indexes:
        cursor.execute(f"drop index {name}")
    for statement in (_USERS, _EVENTS, _BOOKINGS, _SPECIAL_BOOKINGS, *_ROLL_UPS):
        cursor.execute(statement, counts)
    for _, definition in indexes:
        cursor.execute(definition)
