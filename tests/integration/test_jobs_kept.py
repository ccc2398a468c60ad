"""Of decided jobs each partition keeps the newest, so many as the setting says, with their results."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from shared.line import accept, keys
from shared.settings import Settings
from tests.accepting import book
from tests.factories import make_event, make_users
from tests.lines import LineDriver

KEPT = 2
MANY = 2_500  # more than one call removes


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A partition that keeps two decided jobs."""
    return replace(settings, jobs_kept_max=KEPT)


class Sale:
    """Five people who ask for one ticket of an event."""

    def __init__(self, driver: LineDriver, event_id: int, user_ids: list[int]) -> None:
        self._driver, self._event_id, self._user_ids = driver, event_id, user_ids
        self.redis = driver.redis
        self.finished = keys.finished(event_id % driver.settings.partitions)

    def decide(self) -> list[str]:
        requests = [book(self._event_id, user_id, request_id="r-1") for user_id in self._user_ids]
        for request in requests:
            accept.send(
                self._driver.runner, self._driver.settings, self._driver.installation, request, accept.Door()
            )
        self._driver.decide_all()
        return [str(request.job_id) for request in requests]

    def found(self, job_ids: list[str]) -> list[str]:
        return [id_ for id_ in job_ids if self.redis.exists(keys.job(id_), keys.result(id_)) == 2]

    def count_keys(self, job_ids: list[str]) -> int:
        return int(self.redis.exists(*map(keys.job, job_ids), *map(keys.result, job_ids)))


@pytest.fixture
def sale(settings, engine) -> Iterator[Sale]:
    driver = LineDriver(settings, engine)
    event = make_event(engine, capacity=1)
    yield Sale(driver, event.id, [user.id for user in make_users(engine, 5)])
    driver.close()


def test_the_newest_stay_and_nothing_of_the_others(sale: Sale) -> None:
    decided = sale.decide()
    kept = [member.decode() for member in sale.redis.zrange(sale.finished, 0, -1)]
    assert len(kept) == KEPT
    assert sale.found(decided) == sorted(kept)
    assert sale.count_keys(decided) == 2 * KEPT


def test_any_number_goes_at_once(sale: Sale) -> None:
    old = [f"old-{number}" for number in range(MANY)]
    soon = sale.redis.time()[0] + 60
    with sale.redis.pipeline(transaction=False) as pipe:
        for job_id in old:
            pipe.hset(keys.job(job_id), "status", "finished")
            pipe.xadd(keys.result(job_id), {"type": "1"})
            pipe.zadd(sale.finished, {job_id: soon})
        pipe.execute()
    decided = sale.decide()
    assert sale.count_keys(old) == 0
    assert len(sale.found(decided)) == sale.redis.zcard(sale.finished) == KEPT
