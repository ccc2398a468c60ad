"""A trial's PostgreSQL: an embedded one that can be made to fail."""

import os
import random
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final, LiteralString

import psutil
import psycopg2
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class under its own spelling

from scripts.embedded.common import wait_until
from scripts.embedded.initdb import SUPERUSER
from scripts.embedded.postgres import DATABASE, EmbeddedPostgres, StopMode
from scripts.trials.servers.clock import WallClock
from scripts.trials.servers.disk import NoDiskError, SmallDisk
from shared.store.batches import ADVISORY_CLASS

_CLAIM_HOLDERS: Final = """
select distinct pid from pg_locks
where locktype = 'advisory' and classid = %s and objsubid = 2 and granted
order by pid
"""
_BACKENDS: Final = """
select pid from pg_stat_activity
where datname = %s and pid <> pg_backend_pid() and backend_type = 'client backend'
order by pid
"""
# Recovery after a crash.
_ANSWER_SECONDS: Final = 120.0


class TrialPostgres(EmbeddedPostgres):
    """Each fault is injected and healed within its call. `settings` as the embedded one's.

    `clock`: what it believes the time is. `disk`: what its data lies on, where that can be filled.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        clock: WallClock | None = None,
        disk: SmallDisk | None = None,
        **settings: str,
    ) -> None:
        super().__init__(data_dir, **settings)
        self.clock, self.disk = clock, disk

    @property
    def socket_path(self) -> Path:
        """The server's unix socket."""
        return self._socket_dir / ".s.PGSQL.5432"

    def crash(self, down_seconds: float) -> None:
        """SIGKILL to the postmaster; its children notice and end. Started again after a while."""
        self.kill()
        time.sleep(down_seconds)
        self.start()

    def restart(self, mode: StopMode, down_seconds: float = 0.0) -> None:
        """Stops, "immediate" as a crash would; started again after a while."""
        self.stop(mode)
        time.sleep(down_seconds)
        self.start()

    def kill_backend(self, chance: random.Random) -> int:
        """SIGKILL to one backend: the server ends all of them and recovers. Its pid, 0 where there was none."""
        pid = self._signal_backend(chance, signal.SIGKILL)
        # Until the server has noticed, it takes connections, and ends them then.
        if pid and not wait_until(
            lambda: not psutil.pid_exists(pid), timeout_seconds=_ANSWER_SECONDS, every_seconds=0.01
        ):
            raise TimeoutError("PostgreSQL has not noticed that a backend died")
        self.await_answer()
        return pid

    def hang_backend(self, chance: random.Random, seconds: float) -> int:
        """SIGSTOP to one backend, then SIGCONT. Its pid, 0 where there was none."""
        pid = self._signal_backend(chance, signal.SIGSTOP)
        if pid:
            try:
                time.sleep(seconds)
            finally:
                _continue([pid])
        return pid

    def hang(self, seconds: float) -> None:
        """SIGSTOP to every process of the server, then SIGCONT."""
        postmaster = psutil.Process(self.pids[0])
        postmaster.suspend()  # first, or it would go on making children
        pids = [child.pid for child in postmaster.children()]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            _continue([*pids, postmaster.pid])

    def end_backends(self, chance: random.Random, share: float) -> int:
        """`pg_terminate_backend` of a share of the connections, at least one; how many it were."""
        with self.operator() as cursor:
            pids = _pids(cursor, _BACKENDS, DATABASE)
            chosen = chance.sample(pids, min(len(pids), max(1, round(share * len(pids)))))
            return self._end(cursor, chosen)

    def end_claim_holders(self) -> int:
        """`pg_terminate_backend` of every worker's claim session; how many it were."""
        with self.operator() as cursor:
            return self._end(cursor, _pids(cursor, _CLAIM_HOLDERS, ADVISORY_CLASS))

    def lock_table(self, table: str, seconds: float) -> None:
        """ACCESS EXCLUSIVE: even reads of it wait, from the moment on at which the lock is asked for.

        Raises psycopg2's LockNotAvailable after 10 s of waiting for those who read it already.
        """
        name = sql.Identifier(table)
        with self.operator() as cursor, _transaction(cursor):
            cursor.execute("set local lock_timeout = '10s'")
            cursor.execute(sql.SQL("lock table {} in access exclusive mode").format(name))
            time.sleep(seconds)

    def lock_events(self, seconds: float) -> int:
        """Every event's row FOR UPDATE, as a batch holds it; how many it were."""
        with self.operator() as cursor, _transaction(cursor):
            cursor.execute("select id from events order by id for update")
            count = cursor.rowcount
            time.sleep(seconds)
        return count

    def checkpoint(self) -> None:
        """Writes every changed page, and the next change of each page as a whole into the WAL."""
        with self.operator() as cursor:
            cursor.execute("checkpoint")

    def fill_disk(self, seconds: float) -> bool:
        """No byte can be written for a while. Whether the postmaster died of it."""
        if self.disk is None:
            raise NoDiskError("this PostgreSQL has no disk of its own")
        self.disk.fill()
        try:
            time.sleep(seconds)
        finally:
            self.disk.free()
        died = not self.pids
        self.await_answer()
        return died

    def await_answer(self) -> None:
        """Returns once it takes connections again; starts it where it has ended by itself."""
        if not wait_until(self._answers, timeout_seconds=_ANSWER_SECONDS, every_seconds=0.05):
            raise TimeoutError("PostgreSQL takes no connections")

    @contextmanager
    def operator(self) -> Iterator[Cursor]:
        """A connection past the proxy, each statement its own transaction."""
        connection = psycopg2.connect(
            host=str(self._socket_dir), user=SUPERUSER, dbname=DATABASE, application_name="trial"
        )
        connection.autocommit = True
        with closing(connection), connection.cursor() as cursor:
            yield cursor

    def _answers(self) -> bool:
        self.start()
        try:
            with self.operator():
                return True
        except psycopg2.OperationalError:
            return False

    def _environ(self) -> dict[str, str]:
        return super()._environ() | ({} if self.clock is None else self.clock.environ)

    def _signal_backend(self, chance: random.Random, number: signal.Signals) -> int:
        with self.operator() as cursor:
            pids = _pids(cursor, _BACKENDS, DATABASE)
        if not pids:
            return 0
        pid = chance.choice(pids)
        os.kill(pid, number)
        return pid

    @staticmethod
    def _end(cursor: Cursor, pids: list[int]) -> int:
        cursor.execute(
            "select count(*) filter (where pg_terminate_backend(p)) from unnest(%s::int[]) p", (pids,)
        )
        (ended,) = cursor.fetchone() or (0,)
        return int(ended)


def _continue(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@contextmanager
def _transaction(cursor: Cursor) -> Iterator[None]:
    cursor.execute("begin")
    try:
        yield
    finally:
        cursor.execute("rollback")


def _pids(cursor: Cursor, query: LiteralString, about: str | int) -> list[int]:
    cursor.execute(query, (about,))
    return [int(pid) for (pid,) in cursor.fetchall()]
