"""Who has a batch in hand takes what stands behind it: exactly that, or nothing."""

from dataclasses import replace
from typing import Any, Final

import pytest

from shared.line import keys
from shared.line.take import Claim, Flying, Taken, read_taken_ahead, take, take_command
from shared.settings import Settings
from tests.crash.flows import Desk
from tests.lines import LineDriver

PARTITION: Final = 3
BATCH: Final = 2
CALLER: Final[dict[str, Any]] = {"maximum": BATCH, "worker_name": "w", "instance": "w:1"}
LINE: Final = (
    keys.queue(PARTITION),
    keys.in_flight(PARTITION),
    keys.started(PARTITION),
    keys.suspects(PARTITION),
    keys.bell(PARTITION),
)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A worker that decides two requests at a time."""
    return replace(settings, batch_max=BATCH)


class Line:
    """Eight requests, of which two are in hand."""

    def __init__(self, desk: Desk, driver: LineDriver) -> None:
        self.desk, self._driver = desk, driver
        driver.claim()
        event = desk.open_events(1, partition=PARTITION, capacity=4)[0]
        self.jobs = [str(answer.job_id) for answer in desk.book_each(event)]
        taken = take(driver.runner, self._claim(), **CALLER)
        assert isinstance(taken, Taken)
        assert taken.job_ids == self.jobs[:BATCH]

    def take_behind(self, expected: int) -> Taken | Flying | str:
        command = take_command(self._claim(), behind=expected, **CALLER)
        return read_taken_ahead(self._driver.runner.run("take", *command))

    def copy(self) -> list[bytes | None]:
        return [self.desk.redis.dump(key) for key in LINE]

    def _claim(self) -> Claim:
        claim = self._driver.session.held[PARTITION]
        assert claim is not None
        return claim


@pytest.fixture
def line(desk: Desk, driver: LineDriver) -> Line:
    return Line(desk, driver)


def test_what_stands_behind_them_is_fresh(line: Line) -> None:
    behind = line.take_behind(BATCH)
    assert isinstance(behind, Taken)
    assert behind.job_ids == line.jobs[BATCH : 2 * BATCH]
    assert behind.is_plain


@pytest.mark.parametrize("expected", [1, 3])
def test_more_or_less_in_flight_takes_nothing_and_says_what_is_there(line: Line, expected: int) -> None:
    before = line.copy()
    assert line.take_behind(expected) == Flying(line.jobs[:BATCH])
    assert line.copy() == before


def test_what_is_no_text_is_named_as_the_rest_is(line: Line) -> None:
    line.desk.redis.rpush(keys.in_flight(PARTITION), b"\xff")
    assert line.take_behind(BATCH) == Flying([*line.jobs[:BATCH], "\udcff"])


def test_nothing_behind_them_is_empty(line: Line) -> None:
    line.desk.redis.delete(keys.queue(PARTITION))
    assert line.take_behind(BATCH) == "empty"
