"""What Redis keeps of decided requests fits beside those that wait."""

from collections.abc import Iterator

import pytest
from redis import Redis
from sqlalchemy import Engine

from scripts.embedded.redis import CONFIGURATION
from shared.line import keys
from shared.settings import Settings
from tests.crash.flows import Desk, opened_desk
from tests.lines import LineDriver

REQUESTS = 400
GIGABYTE = 2**30


@pytest.fixture
def desk(settings: Settings, engine: Engine) -> Iterator[Desk]:
    with opened_desk(settings, engine) as desk:
        yield desk


@pytest.fixture
def bytes_kept(desk: Desk, settings: Settings, redis_client: Redis) -> float:
    """Of one decided job: its hash, its result, its place in the registry."""
    event = desk.open_events(1, capacity=REQUESTS // 4)[0]
    driver = LineDriver(settings, desk.engine)
    while len(desk.accepted) < REQUESTS:
        desk.book_each(event)
    driver.decide_all()
    driver.close()
    names = [
        name
        for _, accepted in desk.accepted
        for name in (keys.job(str(accepted.job_id)), f"{keys.RESULT_PREFIX}{accepted.job_id}")
    ]
    names.append(keys.finished(event % settings.partitions))
    assert redis_client.exists(*names) == len(names)
    return sum(redis_client.memory_usage(name) or 0 for name in names) / len(desk.accepted)


def test_kept_jobs_leave_half_of_it_to_who_waits(bytes_kept: float) -> None:
    assert CONFIGURATION["maxmemory"] == "1gb"
    defaults = Settings()
    assert bytes_kept * defaults.jobs_kept_max * defaults.partitions < GIGABYTE / 2
