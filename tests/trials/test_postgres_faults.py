"""Every fault of PostgreSQL and of the way to it is seen by a client, and is over when it says so."""

import time
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest

from scripts.trials.faults.postgres import POSTGRES_FAULTS
from scripts.trials.faults.servers import SERVER_FAULTS, left_out
from scripts.trials.servers.postgres import TrialPostgres
from scripts.trials.site import Site, site
from tests.conftest import _own_directory
from tests.trials.watching import (
    ATTEMPTS,
    Caller,
    Soon,
    claim_caller,
    is_seen,
    plain_postgres,
    postgres_caller,
)

UNSEEN = {"PostgreSQL: checkpoint"}
SLOW = {
    "PostgreSQL: SIGSTOP",
    "PostgreSQL: a backend stopped",
    "PostgreSQL: a table locked",
    "PostgreSQL: events locked",
    *(f"way to PostgreSQL: {how}" for how in ("slow", "trickling", "silent")),
}
MOVED = {"PostgreSQL: clock jumps", "both servers: clocks jump"}
KINDS = [*POSTGRES_FAULTS, *(kind for kind in SERVER_FAULTS if kind.startswith("way to PostgreSQL"))]
TABLES = """
create table events (id int primary key);
insert into events values (1);
create table pages (page text);
grant all on events, pages to guichet_app;
"""


@pytest.fixture(scope="module")
def place() -> Iterator[Site]:
    with _own_directory() as folder, site(folder) as found:
        with found.postgres.operator() as cursor:
            cursor.execute(TABLES)
        yield found


@pytest.fixture(scope="module")
def callers(place: Site) -> Iterator[tuple[Caller, Caller]]:
    with postgres_caller(place.database_url) as writer, claim_caller(place.database_url) as holder:
        yield writer, holder


@pytest.fixture
def postgres(place: Site) -> TrialPostgres:
    return place.postgres


class TestFaultOfPostgres:
    @pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in UNSEEN])
    def test_is_seen_by_a_client_and_heals(
        self, place: Site, callers: tuple[Caller, Caller], kind: str
    ) -> None:
        if kind in left_out(place):
            pytest.skip(left_out(place)[kind])
        writer, holder = callers
        for _ in range(ATTEMPTS):
            with writer.watch() as written, holder.watch() as held:
                fault = SERVER_FAULTS[kind](place, Soon(1))
            assert fault.target, fault.note
            assert fault.loses_since is None
            if is_seen(kind, [*written, *held], moved=MOVED, slow=SLOW):
                return
        pytest.fail("nobody saw it")

    def test_that_nobody_sees_hurts_nobody(self, place: Site, callers: tuple[Caller, Caller]) -> None:
        with place.postgres.operator() as cursor, callers[0].watch() as seen:
            cursor.execute("select checkpoint_lsn from pg_control_checkpoint()")
            before = cursor.fetchone()
            SERVER_FAULTS["PostgreSQL: checkpoint"](place, Soon(1))
            cursor.execute("select checkpoint_lsn from pg_control_checkpoint()")
            assert cursor.fetchone() != before
        assert not any(call.error for call in seen)


class TestCommitted:
    @pytest.mark.parametrize("end", ["crash", "immediate", "backend"])
    def test_is_there_after_a_crash(self, postgres: TrialPostgres, end: str) -> None:
        with closing(plain_postgres(postgres.url)) as connection:
            with connection.cursor() as cursor:
                cursor.execute("create table if not exists kept (how text)")
                cursor.execute("insert into kept values (%s)", (end,))
            connection.commit()
            if end == "crash":
                postgres.crash(0)
            elif end == "immediate":
                postgres.restart("immediate")
            else:
                postgres.kill_backend(Soon(1))
        with postgres.operator() as cursor:
            cursor.execute("select count(*) from kept where how = %s", (end,))
            assert cursor.fetchone() == (1,)


class TestFullDisk:
    def test_refuses_what_needs_room_and_has_room_again(self, place: Site, postgres: TrialPostgres) -> None:
        if postgres.disk is None:
            pytest.skip(place.missing["disk"])
        with postgres.operator() as cursor:
            postgres.disk.fill()
            try:
                with pytest.raises(psycopg2.OperationalError):
                    cursor.execute(
                        "create table large as select md5(n::text) from generate_series(1, 300000) n"
                    )
            finally:
                postgres.disk.free()
        postgres.await_answer()
        with postgres.operator() as cursor:
            cursor.execute("create table large as select md5(n::text) from generate_series(1, 300000) n")


class TestClockOfPostgres:
    def test_is_moved_for_sessions_that_are_there_already(self, place: Site, postgres: TrialPostgres) -> None:
        if postgres.clock is None:
            pytest.skip(place.missing["clock"])
        with postgres.operator() as cursor:
            for seconds in (3600, -3600, 0):
                postgres.clock.shift(seconds)
                cursor.execute("select extract(epoch from now())")
                assert float(cursor.fetchone()[0]) - time.time() == pytest.approx(seconds, abs=60)


class TestClaims:
    def test_are_found_by_their_lock(self, place: Site, callers: tuple[Caller, Caller]) -> None:
        with callers[1].watch() as seen, callers[0].watch() as others:
            assert place.postgres.end_claim_holders() == 1
        assert any(call.error for call in seen)
        assert not any(call.error for call in others)
