"""Fixtures: real servers out of the wheels, one database a test, an application on top.

Nothing on the machine is used: DATABASE_URL and REDIS_URL of whoever runs the tests are ignored.
"""

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Engine

from scripts.embedded.postgres import EmbeddedPostgres
from scripts.embedded.redis import EmbeddedRedis
from scripts.migrate import migrate
from shared.db import make_engine
from shared.settings import Settings

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient

    from tests.lines import LineDriver

PARTITIONS = 8
MEMORY_BYTES_MIN = 4 * 2**30
_TEMPLATE = "guichet_template"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of our own."""
    parser.addoption(
        "--contract-cases",
        type=int,
        default=500,
        help="made-up calls for each actor in tests/contract/test_schemathesis.py",
    )
    group = parser.getgroup("hostile", "tests/hostile")
    group.addoption("--hostile-cases", type=int, default=20_000, help="how many hostile requests are made up")
    group.addoption("--hostile-seed", type=int, default=1, help="which ones")
    group.addoption("--hostile-shard", default="1/1", help="i/n: the i-th of n parts of them")
    group.addoption("--hostile-case", default="", help="one of them alone by its number, or I-J")
    parser.addoption(
        "--model-examples",
        type=int,
        default=None,
        help="walks in tests/models, at random; without it a few, always the same",
    )


def pytest_xdist_auto_num_workers() -> int:
    """One process more than cores, each with servers of its own: crash tests wait more than they compute. Eight are
    enough: the longest file takes three minutes.
    """
    return min((os.cpu_count() or 1) + 1, 8)


@pytest.fixture(scope="session")
def contract_cases(pytestconfig: pytest.Config) -> int:
    """How many calls are made up for each actor."""
    count: int = pytestconfig.getoption("--contract-cases")
    return count


@pytest.fixture(scope="session")
def model_examples(pytestconfig: pytest.Config) -> int | None:
    """How many walks are made at random; None: those of every run."""
    count: int | None = pytestconfig.getoption("--model-examples")
    return count


@pytest.fixture(scope="session")
def server_dir() -> Iterator[Path]:
    """A short directory (socket paths are limited) that the database's system user may enter."""
    directory = Path(tempfile.mkdtemp(prefix="guichet-test-", dir=_in_memory()))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(server_dir: Path) -> Iterator[EmbeddedPostgres]:
    """The session's PostgreSQL, with a migrated template database. Do not stop it: see `own_postgres`."""
    server = EmbeddedPostgres(server_dir / "postgres")
    try:
        server.start()
        server.create_database(_TEMPLATE)
        migrate(server.database_url(_TEMPLATE), partitions=PARTITIONS)
        yield server
    finally:
        server.stop("immediate")


@pytest.fixture(scope="session")
def redis_server(server_dir: Path) -> Iterator[EmbeddedRedis]:
    """The session's Redis. Do not stop it: see `own_redis`."""
    server = EmbeddedRedis(server_dir / "redis", maxmemory="512mb")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A freshly migrated database of the test's own."""
    with fresh_database(postgres) as url:
        yield url


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """An empty Redis."""
    with connect_redis(redis_server.url) as client:
        client.flushall()
        client.config_resetstat()
    return redis_server.url


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """Settings on an own database and an empty Redis; hashing as cheap as argon2 allows."""
    return make_settings(database_url, redis_url, tmp_path)


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """SQLAlchemy's engine on the test's database."""
    engine = make_engine(settings.database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def redis_client(settings: Settings) -> Iterator[Redis]:
    """redis-py as it should always be used: it never sends a command twice."""
    with connect_redis(settings.redis_url) as client:
        yield client


@pytest.fixture
def make_app() -> Iterator[Callable[[Settings], "Flask"]]:
    """Builds applications from any settings, and closes what they opened."""
    from api.app import create_app

    with contextlib.ExitStack() as stack:

        def build(settings: Settings) -> "Flask":
            app = create_app(settings)
            if hasattr(app.extensions["guichet"], "close"):
                stack.callback(app.extensions["guichet"].close)
            return app

        yield build


@pytest.fixture
def app(make_app: Callable[[Settings], "Flask"], settings: Settings) -> "Flask":
    """The application."""
    return make_app(settings)


@pytest.fixture
def driver(settings: Settings, engine: Engine) -> Iterator["LineDriver"]:
    """A worker that decides when the test says so."""
    from tests.lines import LineDriver

    driver = LineDriver(settings, engine)
    yield driver
    driver.close()


@pytest.fixture
def bare_app(make_app: Callable[[Settings], "Flask"], tmp_path: Path) -> "Flask":
    """The application without servers: for what is answered before it would ask them."""
    return make_app(make_settings("postgresql+psycopg2:///nowhere", "redis://localhost:1/0", tmp_path))


@pytest.fixture
def bare_client(bare_app: "Flask") -> "FlaskClient":
    """Flask's test client without servers."""
    return bare_app.test_client()


@pytest.fixture
def client(app: "Flask") -> "FlaskClient":
    """Flask's test client."""
    return app.test_client()


@pytest.fixture
def long_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that said a word counts as live for as long as a test takes."""
    for module in ("shared.line.inspect", "shared.line.look", "worker.heartbeat"):
        monkeypatch.setattr(f"{module}.LIVE_SECONDS", 600)


@pytest.fixture
def own_postgres() -> Iterator[EmbeddedPostgres]:
    """A migrated PostgreSQL that the test may stop, kill and start as it likes; database `guichet`."""
    with _own_directory() as directory:
        server = EmbeddedPostgres(directory / "postgres")
        try:
            server.start()
            server.create_database()
            migrate(server.url, partitions=PARTITIONS)
            yield server
        finally:
            server.stop("immediate")


@pytest.fixture
def own_redis() -> Iterator[EmbeddedRedis]:
    """A Redis that the test may stop, kill and start as it likes."""
    with _own_directory() as directory:
        server = EmbeddedRedis(directory / "redis", maxmemory="512mb")
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture
def own_settings(own_postgres: EmbeddedPostgres, own_redis: EmbeddedRedis, tmp_path: Path) -> Settings:
    """Settings on servers of the test's own, for tests that crash them."""
    return make_settings(own_postgres.url, own_redis.url, tmp_path)


def make_settings(database_url: str, redis_url: str, data_dir: Path, **fields: Any) -> Settings:
    """Settings of a test; any field may be given, or changed with `dataclasses.replace`."""
    defaults: dict[str, Any] = {
        "env": "test",
        "secret_key": secrets.token_urlsafe(48),
        "log_level": "WARNING",
        "hash_memory_kib": 64,
        "hash_time_cost": 1,
        "partitions": PARTITIONS,
        "general_rate_per_minute": 1_000_000,
        "login_rate_per_minute": 1_000_000,
        "poll_rate_per_second": 1_000_000,
        "export_rate_per_hour": 1_000_000,
        "read_cache_seconds": 0.0,  # tests write behind the API's back
        "redis_timeout_seconds": 15.0,  # a busy machine may stop a server for a second
        "port": 0,
    }
    return Settings(
        data_dir=data_dir, database_url=database_url, redis_url=redis_url, **{**defaults, **fields}
    )


@contextlib.contextmanager
def fresh_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A freshly migrated database, dropped with the block: for tests that share what takes long to fill."""
    name = f"test_{secrets.token_hex(6)}"
    postgres.create_database(name, template=_TEMPLATE)
    yield postgres.database_url(name)
    postgres.drop_database(name)


def connect_redis(url: str) -> Redis:
    """A client that never repeats a command by itself."""
    return Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=15)


def _in_memory() -> str | None:
    """Where files are memory, if there is such a place: servers sync as their settings say, and no test waits for a
    disk. Tests kill processes, never the machine, so nothing that they prove depends on one.
    """
    place = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a directory that is ours alone
    spacious = (
        place.is_dir() and os.access(place, os.W_OK) and shutil.disk_usage(place).free > MEMORY_BYTES_MIN
    )
    return str(place) if spacious else None


@contextlib.contextmanager
def _own_directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="guichet-test-", dir=_in_memory()))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
