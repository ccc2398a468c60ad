"""One of the two servers comes back from an older copy, on real servers with a real worker; `--repair` mends Redis.

Each test first shows that the audit finds the damage: without the repair it would not be whole.
"""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from redis import Redis

from scripts.audit import command as audit
from scripts.audit import run_audit
from scripts.backup import _copy_redis, _dump_postgres
from scripts.backups.programs import find_postgres_program, postgres_connection, run_tool
from scripts.embedded.postgres import DATABASE, EmbeddedPostgres
from scripts.embedded.redis import APPEND_ONLY_FILE, EmbeddedRedis
from scripts.environment import libpq_url
from shared.ids import uuid7
from shared.line.accept import Accepted, NewRequest
from shared.line.doors import Door
from shared.settings import Settings
from tests.crash.flows import Desk, Flow, recover
from tests.lines import await_that, worker_process

SERVER_VERSION = 180_000
EVENTS = ((0, 40), (3, 10_000), (3, 60), (7, 10_000))  # partition, capacity


@pytest.fixture
def events(own_desk: Desk) -> list[int]:
    return [own_desk.open_events(1, partition=number, capacity=seats)[0] for number, seats in EVENTS]


def keep_postgres(server: EmbeddedPostgres, path: Path) -> Callable[[], None]:
    """A copy of PostgreSQL; what is returned brings it back."""
    _dump_postgres(server.url, path, server_version=SERVER_VERSION)

    def bring_back() -> None:
        server.drop_database(DATABASE)
        server.create_database()
        address, environ = postgres_connection(libpq_url(server.url))
        program = find_postgres_program("pg_restore", server_version=SERVER_VERSION)
        run_tool([program, "--exit-on-error", "--no-owner", f"--dbname={address}", path], environ)

    return bring_back


def keep_redis(server: EmbeddedRedis, path: Path) -> Callable[[], None]:
    """A copy of Redis; what is returned brings it back."""
    _copy_redis(server.url, path)
    with Redis.from_url(server.url) as client:
        folder = Path(client.config_get("dir")["dir"])

    def bring_back() -> None:
        server.kill()
        shutil.copyfile(path, folder / APPEND_ONLY_FILE)
        server.start()

    return bring_back


def repair(settings: Settings, *options: str) -> tuple[int, str]:
    """`guichet audit --repair` on these servers."""
    urls = ("--database-url", settings.database_url, "--redis-url", settings.redis_url)
    result = CliRunner().invoke(audit, ["--repair", *urls, *options], env={"COLUMNS": "200"})
    return result.exit_code, result.output


def mend(settings: Settings) -> str:
    """Mends, to the end and for good; what it said."""
    code, output = repair(settings)
    assert code == 0, output
    assert "Every promise holds." in output
    again, silence = repair(settings)
    assert again == 0
    assert "\n0 mends made." in f"\n{silence}"
    return output


def assert_never_oversold(desk: Desk) -> None:
    assert desk.query("select id from events where booked > capacity") == []
    assert desk.query("select job_id from decisions group by job_id having count(*) > 1") == []


class TestOlderPostgres:
    def test_everything_accepted_gets_its_one_decision(
        self,
        own_desk: Desk,
        own_settings: Settings,
        own_postgres: EmbeddedPostgres,
        events: list[int],
        tmp_path: Path,
    ) -> None:
        with Flow(own_desk, events) as flow:
            with worker_process(own_settings):
                flow.await_more(200)
                bring_back = keep_postgres(own_postgres, tmp_path / "dump")
                own_desk.await_decisions(300)
            flow.await_more(50)  # nobody decides these: they wait
        own_desk.engine.dispose()
        bring_back()
        lost = own_desk.count_decided()
        tally = run_audit(own_settings)
        assert set(tally.failed) == {"line_status", "line_counters"}, tally.notes
        said = mend(own_settings)
        assert "decided to Redis, unknown to the ledger" in said
        assert own_desk.count_decided() == lost  # the repair decides nothing
        # Accepting goes on at once, and so does deciding: with the numbers that everybody was told.
        with worker_process(own_settings), Flow(own_desk, events) as later:
            later.await_more(100)
        recover(own_settings, own_desk.engine)
        flow.accepted.update(later.accepted)
        flow.assert_kept()
        assert_never_oversold(own_desk)
        assert own_desk.query("select sum(arrivals_reissued) from events") == [(0,)]


class TestOlderRedis:
    def test_what_the_ledger_knows_is_not_decided_again(
        self,
        own_desk: Desk,
        own_settings: Settings,
        own_redis: EmbeddedRedis,
        events: list[int],
        tmp_path: Path,
    ) -> None:
        with Flow(own_desk, events) as flow:
            flow.await_more(100)  # these wait when the copy is taken, and are decided afterwards
            bring_back = keep_redis(own_redis, tmp_path / "rdb")
            with worker_process(own_settings):
                own_desk.await_decisions(300)
        recover(own_settings, own_desk.engine)
        bring_back()
        decided = own_desk.count_decided()
        assert {"line_waiting", "line_counters"} <= set(run_audit(own_settings).failed)
        assert "told the ledger's decision" in mend(own_settings)
        with worker_process(own_settings), Flow(own_desk, events) as later:
            later.await_more(100)
        recover(own_settings, own_desk.engine)
        assert own_desk.count_decided() == decided + len(later.accepted)
        flow.accepted.update(later.accepted)
        flow.assert_kept()
        assert_never_oversold(own_desk)
        assert own_desk.query("select sum(arrivals_reissued) from events") == [(0,)]

    def test_an_empty_one_starts_anew(
        self, own_desk: Desk, own_settings: Settings, own_redis: EmbeddedRedis, events: list[int]
    ) -> None:
        with worker_process(own_settings), Flow(own_desk, events) as flow:
            flow.await_more(100)
        recover(own_settings, own_desk.engine)
        own_desk.redis.flushall()
        assert "made this installation's" in mend(own_settings)
        last = dict(own_desk.query("select id, last_arrival from events"))
        for event in events:  # numbering starts from what the API's snapshot of the event says
            request = NewRequest(
                job_id=uuid7(), kind="book", event_id=event, user_id=own_desk.users[0], tickets=1
            )
            answer = own_desk.line.accept(request, Door(last_arrival=last[event]))
            assert isinstance(answer, Accepted)
            assert (answer.arrival, answer.position) == (last[event] + 1, 1)
            flow.accepted[answer.job_id] = (event, answer.arrival)
        recover(own_settings, own_desk.engine)
        flow.assert_kept()
        assert own_desk.query("select sum(arrivals_reissued) from events") == [(0,)]


class TestWorkers:
    def test_have_to_be_stopped_first(
        self, own_desk: Desk, own_settings: Settings, events: list[int]
    ) -> None:
        with worker_process(own_settings) as worker:
            own_desk.book_each(events[0])
            own_desk.await_empty()
            code, output = repair(own_settings)
            assert code == 1
            assert "a booking worker is alive: guichet bookings-" in output
            assert "Stop every booking worker first" in output
            worker.send_signal(signal.SIGTERM)
            worker.wait(20)
            mend(own_settings)

    def test_one_that_wakes_up_after_the_repair_changes_nothing(
        self, own_desk: Desk, own_settings: Settings, events: list[int]
    ) -> None:
        """Stopped in mid-batch; PostgreSQL ends its session, the repair writes new tokens, then it goes on."""
        with Flow(own_desk, events) as flow, worker_process(own_settings) as worker:
            own_desk.await_decisions(50)
            worker.send_signal(signal.SIGSTOP)
            _await_unheld(own_desk)
            mend_or_note(own_settings)
            worker.send_signal(signal.SIGCONT)
            own_desk.await_decisions(50)
        recover(own_settings, own_desk.engine)
        flow.assert_kept()


def _await_unheld(desk: Desk) -> None:
    held = "select 1 from pg_locks where locktype = 'advisory' and classid = 4702 and granted"
    await_that(lambda: not desk.query(held), what="the stopped worker's session to be ended")


def mend_or_note(settings: Settings) -> None:
    """While requests come in, a reply may be owed, which the repair makes; nothing else is wrong."""
    code, output = repair(settings)
    assert code == 0, output
