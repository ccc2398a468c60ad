"""Holding the whole line for a repair: every partition's lock on one session, a fresh token in each."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text

from shared.line.client import ScriptRunner
from shared.line.installation import Installation
from shared.line.take import Claim, write_token
from shared.store.repairs import Holder, draw_token, lock_partitions


class RepairRefusedError(Exception):
    """The line cannot be repaired now; the message says what to do first."""


@contextmanager
def held_partitions(engine: Engine, partitions: int) -> Iterator[Connection]:
    """The session that holds every partition: no worker decides anything until the block ends.

    Raises RepairRefusedError naming who holds one, without having waited for anybody.
    """
    with engine.connect() as pooled:
        connection = pooled.execution_options(isolation_level="AUTOCOMMIT")
        try:
            if holders := lock_partitions(connection, partitions):
                raise RepairRefusedError(_who_holds(holders))
            yield connection
        finally:
            connection.execute(text("select pg_advisory_unlock_all()"))


def _who_holds(holders: Sequence[Holder]) -> str:
    sessions = {
        holder.pid: (holder.name, [other.partition for other in holders if other.pid == holder.pid])
        for holder in holders
    }
    who = "; ".join(
        f"{name or 'a session'} (PostgreSQL pid {pid}) holds {', '.join(map(str, held))}"
        for pid, (name, held) in sessions.items()
    )
    return f"a booking worker is alive: {who}. Stop every booking worker first; a pause is not enough"


def fence(
    connection: Connection, runner: ScriptRunner, installation: Installation, partition: int
) -> tuple[Claim, bool]:
    """A new token in Redis, so that no late script of an earlier holder can interfere; and whether the sequence
    had to be lifted for it: a PostgreSQL from a backup draws lower tokens than Redis has seen.

    Raises ForeignRedisError.
    """
    newer: int | None = 0
    lifted = False
    while True:
        claim = Claim(partition, draw_token(connection, above=newer or 0))
        newer = write_token(runner, installation, claim)
        if newer is None:
            return claim, lifted
        lifted = True
