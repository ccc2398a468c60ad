"""The servers out of the wheels: what is acknowledged survives a crash, and nothing starts silently empty."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import psycopg2
import pytest

from scripts.embedded.common import EmbeddedServerError
from scripts.embedded.postgres import EmbeddedPostgres
from scripts.embedded.redis import EmbeddedRedis
from shared.db import make_engine, transaction
from shared.services.durability import postgres_problems, redis_problems
from tests.conftest import connect_redis


@pytest.fixture
def deep_folder() -> Iterator[Path]:
    """A folder whose path is too long for a socket."""
    with tempfile.TemporaryDirectory(prefix="guichet-test-") as folder:
        yield Path(folder) / ("deep" * 30)


class TestPostgres:
    def test_has_what_the_promises_need(self, database_url: str) -> None:
        engine = make_engine(database_url)
        with transaction(engine) as session:
            assert postgres_problems(session) == []
        engine.dispose()

    def test_what_is_committed_survives_a_crash(self, own_postgres: EmbeddedPostgres) -> None:
        execute(own_postgres, "create table t (n int)")
        for crash in (own_postgres.kill, lambda: own_postgres.stop("immediate")):
            execute(own_postgres, "insert into t values (1)")
            crash()
            own_postgres.start()
        assert execute(own_postgres, "select count(*) from t") == 2

    def test_takes_over_from_a_server_left_behind(self, own_postgres: EmbeddedPostgres) -> None:
        left_behind = own_postgres.pids[0]
        successor = EmbeddedPostgres(Path(own_postgres.url.split("host=")[1].split("&")[0]))
        successor.start()
        try:
            assert successor.pids != [left_behind]
            assert execute(successor, "select 1") == 1
        finally:
            successor.stop()
            own_postgres.stop()

    def test_runs_where_the_path_is_too_long_for_a_socket(self, deep_folder: Path) -> None:
        server = EmbeddedPostgres(deep_folder / "postgres")
        server.start()
        try:
            server.create_database()
            assert execute(server, "select 1") == 1
        finally:
            server.stop()

    def test_leaves_no_process_behind(self, own_postgres: EmbeddedPostgres) -> None:
        pid = own_postgres.pids[0]
        own_postgres.stop()
        assert not psutil.pid_exists(pid)


class TestRedis:
    def test_has_what_the_promises_need(self, redis_server: EmbeddedRedis) -> None:
        with connect_redis(redis_server.url) as client:
            assert redis_problems(client) == []

    def test_what_is_acknowledged_survives_a_crash(self, own_redis: EmbeddedRedis) -> None:
        with connect_redis(own_redis.url) as client:
            client.set("accepted", "1")
        own_redis.kill()
        own_redis.start()
        with connect_redis(own_redis.url) as client:
            assert client.get("accepted") == b"1"

    def test_refuses_data_of_a_newer_version(self, own_redis: EmbeddedRedis) -> None:
        with connect_redis(own_redis.url) as client:
            folder = Path(client.config_get("dir")["dir"])
        own_redis.stop()
        (folder / "server-version").write_text("7.0.15\n")
        with pytest.raises(EmbeddedServerError, match=r"7\.0\.15"):
            own_redis.start()
        assert (folder / "server-version").read_text() == "7.0.15\n"

    def test_takes_over_from_a_server_left_behind(self, own_redis: EmbeddedRedis) -> None:
        left_behind = own_redis.pid
        with connect_redis(own_redis.url) as client:
            client.set("accepted", "1")
            folder = Path(client.config_get("dir")["dir"])
        successor = EmbeddedRedis(folder)
        successor.start()
        try:
            with connect_redis(successor.url) as client:
                assert client.get("accepted") == b"1"
            assert left_behind is not None
            assert own_redis.pid is None
        finally:
            successor.stop()

    def test_runs_where_the_path_is_too_long_for_a_socket(self, deep_folder: Path) -> None:
        server = EmbeddedRedis(deep_folder / "redis")
        server.start()
        try:
            with connect_redis(server.url) as client:
                assert client.ping()
        finally:
            server.stop()


def execute(server: EmbeddedPostgres, statement: str) -> object:
    """Runs one statement in a transaction; its only value, if it has one."""
    connection = psycopg2.connect(server.url.replace("+psycopg2", ""))
    with closing(connection), connection, connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None
