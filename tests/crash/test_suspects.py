"""A worker that met an error lives on: it takes its count as a dead one back, now or when Redis hears it again.

Two counts too many, and a batch is decided one by one; three, and an innocent request is quarantined.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import psycopg2
import pytest

from shared.line import keys
from shared.line.client import AnswerUnknownError
from shared.line.take import take
from shared.settings import Settings
from tests.conftest import connect_redis
from tests.crash.flows import Desk, recover
from tests.lines import await_that
from worker import batch
from worker.booking_worker import BookingWorker
from worker.compose import make_booking_worker

PARTITION = 3


@pytest.fixture
def settings(settings: Settings, own_redis) -> Settings:
    """A Redis that the test may kill."""
    return replace(settings, redis_url=own_redis.url)


@pytest.fixture
def worker(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[BookingWorker]:
    monkeypatch.setattr("worker.booking_worker.BACK_OFF_SECONDS", (0.0,))
    worker = make_booking_worker(settings, "crash", 1)
    yield worker
    with contextlib.suppress(Exception):
        worker._let_go()


def suspects(settings: Settings, partition: int = PARTITION) -> set[bytes]:
    with connect_redis(settings.redis_url) as redis:
        return redis.smembers(keys.suspects(partition))


def held(worker: BookingWorker) -> set[int]:
    """The partitions that it holds."""
    return set() if worker._session is None else set(worker._session.held)


@pytest.fixture
def in_trouble(
    settings: Settings, desk: Desk, worker: BookingWorker, own_redis, monkeypatch: pytest.MonkeyPatch
) -> BookingWorker:
    """A worker whose batch failed while Redis was away, and whose claims were gone when it came back."""
    desk.book_each(desk.open_events(1)[0])

    def lose_both(*_: object) -> None:
        own_redis.kill()
        raise psycopg2.OperationalError("planted")

    with monkeypatch.context() as patch:
        patch.setattr(batch.batches, "load", lose_both)
        worker.run_once()
    own_redis.start()
    worker._drop_session()
    assert suspects(settings) == {worker._batches.instance.encode()}
    return worker


class TestErrorsWhileRedisIsAway:
    def test_are_taken_back_with_a_later_heartbeat(
        self, settings: Settings, desk: Desk, in_trouble: BookingWorker
    ):
        other = make_booking_worker(settings, "crash", 2)
        try:
            await_that(
                lambda: (other._housekeep(), PARTITION in held(other))[1],
                what="another to hold the partition",
            )

            def is_cleared() -> bool:
                in_trouble._beat_timer._next = 0.0
                with contextlib.suppress(AnswerUnknownError):  # a connection from before the outage
                    in_trouble._housekeep()
                return suspects(settings) == set()

            await_that(is_cleared, what="the count to be taken back")
            assert PARTITION not in held(in_trouble)  # though it is another's now
        finally:
            other._let_go()

    def test_are_taken_back_by_a_clean_stop(self, settings: Settings, desk: Desk, in_trouble: BookingWorker):
        in_trouble._let_go()
        assert suspects(settings) == set()
        recover(settings, desk.engine)
        desk.assert_kept()

    def test_are_nobody_elses(self, settings: Settings, desk: Desk, in_trouble: BookingWorker):
        with connect_redis(settings.redis_url) as redis:
            redis.sadd(keys.suspects(PARTITION), "somebody-who-died")
        in_trouble._let_go()
        assert suspects(settings) == {b"somebody-who-died"}


def test_a_partition_is_given_away_without_the_giver_as_suspect(
    settings: Settings, desk: Desk, worker: BookingWorker
) -> None:
    """What is in flight then is somebody else's, and so far nobody has died of it."""
    event = desk.open_events(1, partition=7)[0]
    desk.book_each(event)
    worker._housekeep()
    session = worker._session
    assert session is not None
    claim = session.held[7]
    assert claim is not None
    take(worker._runner, claim, maximum=10, worker_name="giver", instance=worker._batches.instance)
    assert suspects(settings, 7) == {worker._batches.instance.encode()}
    worker._live = 2
    worker._share(session)
    assert sorted(session.held) == [0, 1, 2, 3]
    assert suspects(settings, 7) == set()
    worker._let_go()
    recover(settings, desk.engine)
    desk.assert_kept()
