"""Booking references are drawn in blocks: a block is good in one session only, and one drawn twice is nobody's fault."""

from collections.abc import Iterator

import psycopg2
import pytest
from sqlalchemy import Engine

from shared.line import keys
from shared.settings import Settings
from tests.crash.flows import Desk
from tests.lines import LineDriver, open_patient_session
from worker.batch import BatchRunner
from worker.references import REFERENCE_BLOCK

PARTITION, ELSEWHERE = 3, 5


@pytest.fixture
def other(settings: Settings, engine: Engine) -> Iterator[LineDriver]:
    """A second worker."""
    driver = LineDriver(settings, engine, "other")
    yield driver
    driver.close()


def references(desk: Desk) -> list[str]:
    return [row.reference for row in desk.query("select reference from bookings order by id")]


def set_back(desk: Desk) -> None:
    """The sequence as it was before anything was drawn: a crash forgets what no commit has made durable."""
    desk.execute("select setval('booking_reference_seq', 0, false)")


def die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


class TestSession:
    def test_that_ends_takes_its_block_with_it(
        self, desk: Desk, driver: LineDriver, other: LineDriver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Drawn in a transaction that a crash of PostgreSQL undoes, the block is another worker's afterwards."""
        here, there = desk.open_events(1)[0], desk.open_events(2, partition=ELSEWHERE)
        desk.book_each(here)
        driver.claim(PARTITION)
        with monkeypatch.context() as patch:
            patch.setattr(BatchRunner, "_commit", die)
            with pytest.raises(KeyboardInterrupt):
                driver.decide(PARTITION)
        driver.session.close()
        set_back(desk)

        other.claim(ELSEWHERE)
        for event in there:  # as many as were undone, and as many as would come next in that block
            desk.book_each(event)
        assert other.decide(ELSEWHERE) == 2 * len(desk.users)
        driver.session = open_patient_session(desk.settings, "driver")
        driver.claim(PARTITION)
        assert driver.decide(PARTITION) == len(desk.users)  # at the first try: the numbers are fresh ones
        assert len(set(references(desk))) == 3 * len(desk.users)
        desk.assert_kept()

    def test_that_goes_on_keeps_it(self, desk: Desk, driver: LineDriver) -> None:
        """One look at the sequence a thousand bookings, not one a batch."""
        event = desk.open_events(1)[0]
        driver.claim(PARTITION)
        for _ in range(3):
            desk.book_each(event, desk.users[:2])
            driver.decide(PARTITION)
            desk.execute("update bookings set status = 'cancelled', cancelled_at = now()")
        assert desk.query("select last_value, is_called from booking_reference_seq") == [(0, True)]
        assert driver.batches._references.left == REFERENCE_BLOCK - 6

    def test_draws_on_when_a_block_is_used_up(self, desk: Desk, driver: LineDriver) -> None:
        event = desk.open_events(1)[0]
        driver.claim(PARTITION)
        desk.book(event, desk.users[0])
        driver.decide(PARTITION)
        driver.batches._references.left = 3
        driver.batches._references.next_number = REFERENCE_BLOCK - 3
        desk.book_each(event, desk.users[1:])
        driver.decide(PARTITION)
        assert len(set(references(desk))) == len(desk.users)
        assert desk.query("select last_value from booking_reference_seq") == [(REFERENCE_BLOCK,)]


def test_a_block_drawn_twice_is_dropped_and_nobody_fails(
    desk: Desk, driver: LineDriver, other: LineDriver
) -> None:
    """A PostgreSQL restored from a backup, or a sequence that somebody has set back."""
    here, there = desk.open_events(1)[0], desk.open_events(1, partition=ELSEWHERE)[0]
    driver.claim(PARTITION)
    other.claim(ELSEWHERE)
    desk.book_each(here)
    assert driver.decide(PARTITION) == len(desk.users)
    set_back(desk)

    desk.book_each(there)
    with pytest.raises(psycopg2.errors.UniqueViolation, match="bookings_reference_key"):
        other.decide(ELSEWHERE)
    other.session.rollback()
    assert other.batches._quarantine == set()
    assert other.batches._alone == {}
    assert not desk.redis.exists(keys.alone(ELSEWHERE))
    assert other.decide(ELSEWHERE) == len(desk.users)  # all at once: nobody is suspected
    assert {outcome for _, outcome, _ in desk.outcomes(there)} == {"confirmed"}
    assert len(set(references(desk))) == 2 * len(desk.users)
    desk.assert_kept()


def test_even_when_only_one_request_is_decided(desk: Desk, driver: LineDriver, other: LineDriver) -> None:
    """A single request that fails alone would be quarantined for any other violation."""
    here, there = desk.open_events(1)[0], desk.open_events(1, partition=ELSEWHERE)[0]
    driver.claim(PARTITION)
    other.claim(ELSEWHERE)
    desk.book_each(here)
    driver.decide(PARTITION)
    set_back(desk)
    desk.book(there)
    with pytest.raises(psycopg2.errors.UniqueViolation):
        other.decide(ELSEWHERE)
    other.session.rollback()
    assert other.decide(ELSEWHERE) == 1
    assert [outcome for _, outcome, _ in desk.outcomes(there)] == ["confirmed"]
    desk.assert_kept()
