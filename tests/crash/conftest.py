"""What crash tests share."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from shared.db import make_engine
from shared.settings import Settings
from tests.crash.flows import Desk, opened_desk
from tests.lines import LineDriver


@pytest.fixture
def desk(settings: Settings, engine: Engine) -> Iterator[Desk]:
    """Somebody who asks for tickets."""
    with opened_desk(settings, engine) as desk:
        yield desk


@pytest.fixture
def driver(settings: Settings, engine: Engine) -> Iterator[LineDriver]:
    """A worker that decides when the test says so."""
    driver = LineDriver(settings, engine)
    yield driver
    driver.close()


@pytest.fixture
def own_desk(own_settings: Settings) -> Iterator[Desk]:
    """The same on servers that the test may crash."""
    engine = make_engine(own_settings.database_url)
    with opened_desk(own_settings, engine) as desk:
        yield desk
    engine.dispose()
