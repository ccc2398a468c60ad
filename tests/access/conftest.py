"""A world for each module: what its tests use up is gone for the later ones, and nothing else."""

from collections.abc import Iterator

import pytest

from tests.access.state import Stored
from tests.access.world import World, open_world
from tests.conftest import connect_redis


@pytest.fixture(scope="module")
def world(postgres, redis_server, tmp_path_factory) -> Iterator[World]:
    with open_world(postgres, redis_server, tmp_path_factory.mktemp("access")) as world:
        yield world


@pytest.fixture(scope="module")
def stored(world: World) -> Iterator[Stored]:
    with connect_redis(world.settings.redis_url) as redis:
        yield Stored(world.engine, redis)
