"""`guichet backup` and `guichet restore`: a pair copied while everything runs is a whole installation again."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from scripts import data_folder
from scripts.backup import command as backup
from scripts.backups.directory import (
    DUMP,
    MANIFEST,
    SNAPSHOT,
    Manifest,
    checksum,
    make_directory,
    write_manifest,
)
from scripts.backups.programs import postgres_connection, redis_connection
from scripts.embedded.servers import Servers
from scripts.environment import libpq_url
from scripts.migrate import migrate
from scripts.restore import command as restore
from shared.db import SCHEMA_VERSION, make_engine
from shared.settings import Settings
from tests.conftest import PARTITIONS, make_settings
from tests.crash.flows import Desk, Flow, opened_desk, recover
from tests.lines import worker_process


class Installation:
    """A data folder with servers of its own, as `guichet up` leaves and finds it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings: Settings = make_settings("", "", folder)
        self._running = ExitStack()

    def start(self) -> Settings:
        """Starts the servers and says in run.json where they are."""
        self._running.callback(os.close, data_folder.lock_data_folder(self.folder))
        servers = Servers(self.settings, self.folder)
        self._running.callback(servers.stop)
        running = servers.start(self.settings)
        migrate(running.database_url, partitions=PARTITIONS)
        urls = {"database_url": libpq_url(running.database_url), "redis_url": running.redis_url}
        data_folder.write_run_file(self.folder, urls)
        self._running.callback(data_folder.remove_run_file, self.folder)
        return running

    def stop(self) -> None:
        """What Ctrl-C does."""
        self._running.close()

    def call(self, command: object, *arguments: object, **environ: str) -> Result:
        """A command on this data folder."""
        names = {"DATABASE_URL": "", "REDIS_URL": "", "GUICHET_ENV": "test", "COLUMNS": "200", **environ}
        return CliRunner().invoke(
            command,  # type: ignore[arg-type]
            [str(argument) for argument in arguments],
            env={"GUICHET_DATA": str(self.folder), **names},
        )


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short: socket paths are limited; and the database's system user may enter it."""
    directory = Path(tempfile.mkdtemp(prefix="guichet-test-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def installation(folder: Path) -> Iterator[Installation]:
    installation = Installation(folder / "data")
    yield installation
    installation.stop()


def asked(flow: Flow) -> dict[object, tuple[int, int]]:
    return dict(flow.accepted)


class TestThePair:
    def test_taken_from_under_a_worker_is_whole_again(self, installation: Installation, folder: Path) -> None:
        """Everything accepted before the backup gets one decision; what was decided by then stays as it was."""
        settings = installation.start()
        engine = make_engine(settings.database_url)
        with opened_desk(settings, engine) as desk:
            events = [
                desk.open_events(1, partition=number, capacity=40)[0] for number in range(3)
            ] + desk.open_events(1, partition=0, capacity=10_000)
            with worker_process(settings), Flow(desk, events) as flow:
                flow.await_more(300)
                before, decided = asked(flow), decisions(desk)
                result = installation.call(backup, folder / "backup")
                assert result.exit_code == 0, result.output
                flow.await_more(200)
        engine.dispose()
        installation.stop()

        refused = installation.call(restore, folder / "backup")
        assert refused.exit_code == 1
        assert "holds data already" in refused.output
        result = installation.call(restore, folder / "backup", "--replace")
        assert result.exit_code == 0, result.output
        assert "Every promise holds." in result.output
        assert "unknown to the ledger" not in result.output  # Redis first: no decision has to be made again

        settings = installation.start()
        engine = make_engine(settings.database_url)
        recover(settings, engine)
        with opened_desk(settings, engine, people=0) as desk:
            now = decisions(desk)
            assert {job: now.get(job) for job in decided} == decided
            rows = desk.query("select job_id, event_id, arrival from decisions where arrival is not null")
            found = {row.job_id: (row.event_id, row.arrival) for row in rows}
            assert {job: found.get(job) for job in before} == before
            assert len(found) == len(rows)
            desk.assert_audit_clean()
        engine.dispose()
        kept = sorted(path.name for path in installation.folder.glob("*.replaced-*"))
        assert [name.partition(".")[0] for name in kept] == ["postgres", "redis"]

    def test_of_a_stopped_installation_goes_to_another_folder(
        self, installation: Installation, folder: Path
    ) -> None:
        settings = installation.start()
        engine = make_engine(settings.database_url)
        with opened_desk(settings, engine) as desk:
            (event,) = desk.open_events(1, capacity=3)
            waiting = desk.book_each(event)
        engine.dispose()
        installation.stop()
        assert installation.call(backup, folder / "backup").exit_code == 0
        assert not (installation.folder / "run.json").exists()
        modes = {path.name: path.stat().st_mode & 0o777 for path in (folder / "backup").iterdir()}
        assert modes == {DUMP: 0o600, SNAPSHOT: 0o600, MANIFEST: 0o600}  # password hashes are in it
        assert (folder / "backup").stat().st_mode & 0o777 == 0o700

        other = Installation(folder / "other")
        result = other.call(restore, folder / "backup")
        assert result.exit_code == 0, result.output
        settings = other.start()
        engine = make_engine(settings.database_url)
        assert recover(settings, engine) == len(waiting)
        with opened_desk(settings, engine, people=0) as desk:
            assert [arrival for arrival, _, _ in desk.outcomes(event)] == [a.arrival for a in waiting]
            desk.assert_audit_clean()
        engine.dispose()
        other.stop()

    def test_one_half_alone_loses_less(self, installation: Installation, folder: Path) -> None:
        """PostgreSQL's disk died, Redis lives: what was decided since the backup is decided again."""
        settings = installation.start()
        engine = make_engine(settings.database_url)
        with opened_desk(settings, engine) as desk:
            (event,) = desk.open_events(1, capacity=3)
            assert installation.call(backup, folder / "backup").exit_code == 0
            later = desk.book_each(event)
            recover(settings, engine)
        engine.dispose()
        installation.stop()
        result = installation.call(restore, folder / "backup", "--replace", "--only", "postgres")
        assert result.exit_code == 0, result.output
        assert "back into the line, before what came later: 8" in result.output
        assert not list(installation.folder.glob("redis.replaced-*"))
        settings = installation.start()
        engine = make_engine(settings.database_url)
        assert recover(settings, engine) == len(later)
        with opened_desk(settings, engine, people=0) as desk:
            assert [arrival for arrival, _, _ in desk.outcomes(event)] == [a.arrival for a in later]
            desk.assert_audit_clean()
        engine.dispose()


def manifest(**fields: Any) -> Manifest:
    """What a backup of this release says."""
    values: dict[str, Any] = {
        "installation": f"a:{PARTITIONS}",
        "schema": SCHEMA_VERSION,
        "redis_at": "",
        "postgres_at": "",
        "redis_version": "6.2.14",
        "postgres_version": 180_000,
        "sha256": {},
    }
    return Manifest(**{**values, **fields})


def decisions(desk: Desk) -> dict[object, object]:
    """Job → its row of the ledger, with its hash."""
    rows = desk.query("select * from decisions where arrival is not null")
    return {row.job_id: (row.event_id, row.number, row.outcome, bytes(row.hash)) for row in rows}


class TestRefusals:
    def test_a_backup_overwrites_nothing(self, installation: Installation, folder: Path) -> None:
        installation.start()
        (folder / "backup").mkdir()
        (folder / "backup" / "letters").write_text("keep me")
        result = installation.call(backup, folder / "backup")
        assert result.exit_code == 1
        assert "not empty" in result.output
        assert [path.name for path in (folder / "backup").iterdir()] == ["letters"]

    def test_nothing_is_restored_under_a_running_installation(
        self, installation: Installation, folder: Path
    ) -> None:
        installation.start()
        assert installation.call(backup, folder / "backup").exit_code == 0
        result = installation.call(restore, folder / "backup", "--replace")
        assert result.exit_code == 1
        assert "another `guichet up`" in result.output
        assert not list(installation.folder.glob("*.replaced-*"))

    @pytest.mark.parametrize("name", [DUMP, SNAPSHOT, MANIFEST])
    def test_a_damaged_or_unfinished_one_is_not_restored(
        self, installation: Installation, folder: Path, name: str
    ) -> None:
        directory = folder / "backup"
        make_directory(directory)
        for file in (DUMP, SNAPSHOT):
            (directory / file).write_text("something")
        sums = {file: checksum(directory / file) for file in (DUMP, SNAPSHOT)}
        write_manifest(directory, manifest(sha256=sums))
        (directory / name).write_bytes((directory / name).read_bytes()[:-2])
        result = installation.call(restore, directory)
        assert result.exit_code == 1
        assert "backup" in result.output
        assert not (installation.folder / "postgres").exists()

    @pytest.mark.parametrize(
        ("fields", "complaint"),
        [({"installation": "a:16"}, "has 16 partitions"), ({"schema": "9999"}, "made by a newer release")],
    )
    def test_one_that_this_release_cannot_run_is_not_restored(
        self, installation: Installation, folder: Path, fields: dict[str, str], complaint: str
    ) -> None:
        make_directory(folder / "backup")
        for file in (DUMP, SNAPSHOT):
            (folder / "backup" / file).write_text("something")
        write_manifest(folder / "backup", manifest(**fields))
        result = installation.call(restore, folder / "backup")
        assert result.exit_code == 1
        assert complaint in result.output

    def test_servers_of_ones_own_are_left_to_their_own_tools(
        self, installation: Installation, folder: Path
    ) -> None:
        (folder / "backup").mkdir()
        result = installation.call(restore, folder / "backup", DATABASE_URL="postgresql:///elsewhere")
        assert result.exit_code == 1
        assert "with their own tools" in result.output


class TestAddresses:
    def test_no_password_is_shown_to_who_looks_at_processes(self) -> None:
        address, environ = postgres_connection("postgresql://u:s%40cret@db:5433/g?sslmode=require")
        assert (address, environ["PGPASSWORD"]) == ("postgresql://u@db:5433/g?sslmode=require", "s@cret")
        options, environ = redis_connection("rediss://:s%40cret@cache:6380/2")
        assert (options, environ["REDISCLI_AUTH"]) == (["-h", "cache", "-p", "6380", "--tls"], "s@cret")
        assert redis_connection("unix:///a%20b/redis.sock")[0] == ["-s", "/a b/redis.sock"]
