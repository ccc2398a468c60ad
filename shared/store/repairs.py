"""What a repair asks PostgreSQL: who holds the line, what the ledger knows, how far sequences have come."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from shared.domain.requests import is_job_id
from shared.store.batches import ADVISORY_CLASS

# Ids looked up in one round trip.
CHUNK: Final = 1000

_HOLDERS: Final = """
select l.objid as partition, a.pid, a.application_name as name
from pg_locks l join pg_stat_activity a using (pid)
where l.locktype = 'advisory' and l.classid = :class and l.objsubid = 2 and l.granted
    and l.database = (select oid from pg_database where datname = current_database())
    and l.pid <> pg_backend_pid()
order by l.objid
"""


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody who holds a partition: PostgreSQL's pid of the session, and what it calls itself."""

    partition: int
    pid: int
    name: str


def lock_partitions(connection: Connection, partitions: int) -> list[Holder]:
    """Locks those of the partitions that nobody holds, on this very session, until it unlocks or ends; returns
    the holders of the others. Two round trips.
    """
    connection.execute(
        text("select pg_try_advisory_lock(:class, p) from generate_series(0, :last) p"),
        {"class": ADVISORY_CLASS, "last": partitions - 1},
    )
    rows = connection.execute(text(_HOLDERS), {"class": ADVISORY_CLASS})
    return [Holder(row.partition, row.pid, row.name) for row in rows]


def draw_token(connection: Connection, *, above: int = 0) -> int:
    """A fencing token higher than every one before, and than `above`. Two round trips at most."""
    token: int = connection.execute(text("select nextval('claim_token_seq')")).scalar_one()
    if token > above:
        return token
    statement = text("select setval('claim_token_seq', greatest(:above, nextval('claim_token_seq')) + 1)")
    lifted: int = connection.execute(statement, {"above": above}).scalar_one()
    return lifted


def list_recorded_ids(session: Session, job_ids: Sequence[str]) -> set[str]:
    """Those of `job_ids` that the ledger knows. One round trip a thousand."""
    return _look_up(session, "select job_id from decisions where job_id = any(cast(:ids as uuid[]))", job_ids)


def list_caused_ids(session: Session, job_ids: Sequence[str]) -> set[str]:
    """Those of `job_ids` that the control plane is known to have asked for. One round trip a thousand."""
    query = "select job_id from control_requests where job_id = any(cast(:ids as uuid[]))"
    return _look_up(session, query, job_ids)


def _look_up(session: Session, query: str, job_ids: Sequence[str]) -> set[str]:
    usable = [job_id for job_id in job_ids if is_job_id(job_id)]
    found: set[str] = set()
    for start in range(0, len(usable), CHUNK):
        found.update(
            str(row[0]) for row in session.execute(text(query), {"ids": usable[start : start + CHUNK]})
        )
    return found


def list_last_arrivals(session: Session, event_ids: Collection[int]) -> dict[int, int]:
    """Event → its last arrival decided, for the events that exist, hidden ones too. One round trip."""
    query = text("select id, last_arrival from events where id = any(:ids)")
    return {row.id: row.last_arrival for row in session.execute(query, {"ids": list(event_ids)})}


def list_last_numbers(session: Session, event_ids: Collection[int]) -> dict[int, int]:
    """Event → the number of its ledger's last row, for the events that exist. One round trip."""
    query = text("select id, last_number from events where id = any(:ids)")
    return {row.id: row.last_number for row in session.execute(query, {"ids": list(event_ids)})}


def read_sequence(session: Session, table: str) -> int:
    """The last id that a table's identity column gave out; 0 when it gave none."""
    name = session.scalar(text("select pg_get_serial_sequence(:table, 'id')"), {"table": table})
    value: int | None = session.scalar(
        text("select pg_sequence_last_value(cast(:name as regclass))"), {"name": name}
    )
    return value or 0


def lift_sequence(session: Session, table: str, at_least: int) -> None:
    """Makes a table's next id higher than `at_least`."""
    statement = text("select setval(pg_get_serial_sequence(:table, 'id'), :value)")
    session.execute(statement, {"table": table, "value": at_least})


def skip_references(session: Session, blocks: int) -> None:
    """Leaves out so many blocks of booking references."""
    session.execute(
        text(
            "select setval('booking_reference_seq', nextval('booking_reference_seq') + 1000 * (:blocks - 1))"
        ),
        {"blocks": blocks},
    )
