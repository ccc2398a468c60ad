"""The same booking by PostgreSQL alone, without HTTP, line or Python: what the worker is compared with.

pgbench, in C, comes in the wheel of the server. Every transaction books, on one hot event, and is durable when it
returns. No ledger is written.
"""

import re
import subprocess
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg2

from scripts.benches.processes import BenchError
from scripts.embedded.initdb import programs
from scripts.environment import libpq_url

_SCHEMA: Final = """
drop table if exists alone_bookings, alone_events;
drop sequence if exists alone_users;
create sequence alone_users cache 100;
create table alone_events (id bigint primary key, capacity int not null, booked int not null) with (fillfactor = 50);
create table alone_bookings (id bigserial primary key, event_id bigint not null, user_id bigint not null,
    created_at timestamptz not null default now(), unique (event_id, user_id));
insert into alone_events values (1, 2000000000, 0);
"""
# The textbook's way. `1 / …::int` fails where there is no place left, which ends pgbench.
_LOCKED: Final = """
begin;
select 1 / (capacity > booked)::int from alone_events where id = 1 for update;
insert into alone_bookings (event_id, user_id) values (1, nextval('alone_users'));
update alone_events set booked = booked + 1 where id = 1;
commit;
"""
# The fewest round trips: lock, check, count and insert in one statement.
_CONDITIONAL: Final = """
with e as (update alone_events set booked = booked + 1 where id = 1 and booked < capacity returning id)
insert into alone_bookings (event_id, user_id) select id, nextval('alone_users') from e;
"""
BATCH: Final = 100
_SECONDS: Final = 1
_BATCHED: Final = """
begin;
select 1 / (capacity - booked >= :batch)::int from alone_events where id = 1 for update;
insert into alone_bookings (event_id, user_id) select 1, nextval('alone_users') from generate_series(1, :batch);
update alone_events set booked = booked + :batch where id = 1;
commit;
"""
_RATE: Final = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Shape:
    """One way to book: a pgbench script that books `bookings` in a transaction, from so many connections."""

    name: str
    script: str
    connections: int
    bookings: int = 1


SINGLE: Final = (
    Shape("lock, check, insert, count", _LOCKED, 1),
    Shape("lock, check, insert, count", _LOCKED, 4),
    Shape("one conditional statement", _CONDITIONAL, 1),
    Shape("one conditional statement", _CONDITIONAL, 4),
)
BATCHES: Final = Shape(f"batches of {BATCH}", _BATCHED, 1, BATCH)


def measure_alone(database_url: str, shape: Shape, folder: Path) -> float:
    """Bookings a second, over one second; `folder` is where the script may be written. Raises BenchError when pgbench
    fails.
    """
    with closing(psycopg2.connect(libpq_url(database_url))) as connection, connection.cursor() as cursor:
        cursor.execute(_SCHEMA)
        connection.commit()
    script = folder / "pgbench.sql"
    script.write_text(shape.script)
    done = subprocess.run(
        [
            *(str(programs() / "pgbench"), "--no-vacuum", "--protocol=prepared", f"--file={script}"),
            *(f"--client={shape.connections}", f"--time={_SECONDS}"),
            *(f"--define=batch={shape.bookings}", libpq_url(database_url)),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    found = _RATE.search(done.stdout)
    if done.returncode != 0 or found is None:
        raise BenchError(f"pgbench: {done.stderr.strip() or done.stdout.strip()}")
    return float(found[1]) * shape.bookings
