"""A small trial that is lived once; each test gets a copy of its servers and its files."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.embedded.postgres import EmbeddedPostgres
from scripts.embedded.redis import EmbeddedRedis
from tests.conftest import _TEMPLATE, connect_redis, make_settings
from tests.trials.world import Scene, bring_back, dump, write_trial


@dataclass(frozen=True)
class Lived:
    """What is left of the trial: a database to copy, Redis' keys, files."""

    database: str
    keys: dict[bytes, bytes]
    folder: Path


@pytest.fixture(scope="session")
def lived(
    postgres: EmbeddedPostgres, redis_server: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory
) -> Lived:
    """The trial, over."""
    folder, database = tmp_path_factory.mktemp("trial"), "trial_template"
    postgres.create_database(database, template=_TEMPLATE)
    with connect_redis(redis_server.url) as client:
        client.flushall()
        write_trial(make_settings(postgres.database_url(database), redis_server.url, folder), folder)
        return Lived(database, dump(client), folder)


@pytest.fixture
def scene(
    lived: Lived, postgres: EmbeddedPostgres, redis_server: EmbeddedRedis, tmp_path: Path
) -> Iterator[Scene]:
    """A copy of it."""
    name = f"trial_{secrets.token_hex(6)}"
    postgres.create_database(name, template=lived.database)
    with connect_redis(redis_server.url) as client:
        bring_back(client, lived.keys)
    shutil.copytree(lived.folder, tmp_path / "trial")
    settings = make_settings(postgres.database_url(name), redis_server.url, tmp_path)
    with closing(Scene(settings, tmp_path / "trial")) as scene:
        yield scene
    postgres.drop_database(name)
