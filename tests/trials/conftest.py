"""A small trial that is lived once for all tests of a process."""

import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.embedded.postgres import EmbeddedPostgres
from scripts.embedded.redis import EmbeddedRedis
from scripts.trials.evidence import Evidence, load_evidence
from scripts.trials.proxy.client import Proxy
from shared.settings import Settings
from tests.conftest import _TEMPLATE, connect_redis, make_settings
from tests.trials.echoing import Echo, ask, call
from tests.trials.world import Scene, bring_back, dump, write_trial


@dataclass(frozen=True)
class Lived:
    """What is left of the trial: its database, Redis' keys, and what a checker reads of both and of the files."""

    settings: Settings
    keys: dict[bytes, bytes]
    evidence: Evidence


@pytest.fixture(scope="session")
def lived(
    postgres: EmbeddedPostgres, redis_server: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory
) -> Lived:
    """The trial, over."""
    folder, database = tmp_path_factory.mktemp("trial"), "trial"
    postgres.create_database(database, template=_TEMPLATE)
    settings = make_settings(postgres.database_url(database), redis_server.url, folder)
    with connect_redis(redis_server.url) as client:
        client.flushall()
        write_trial(settings, folder)
        return Lived(settings, dump(client), load_evidence(folder, settings))


@pytest.fixture
def scene(lived: Lived) -> Iterator[Scene]:
    """Its servers, as they were left."""
    with connect_redis(lived.settings.redis_url) as client:
        bring_back(client, lived.keys)
    with closing(Scene(lived.settings, lived.evidence)) as scene:
        yield scene


@pytest.fixture
def echo(server_dir: Path) -> Iterator[Echo]:
    """A server that sends back what it hears."""
    path = server_dir / "echo.sock"
    server = Echo(path)
    yield server
    server.close()
    path.unlink()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    """A proxy before it."""
    with Proxy(echo.path) as found:
        yield found


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    """A connection through it that works."""
    with call(proxy) as found:
        assert ask(found, b"hello") == b"hello"
        yield found
