"""Runs of batches over connections that break: what was sent is lost, is run and not heard of, or is run later, in the
middle of what the worker does next, which is by the same token.
"""

import contextlib
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import psycopg2
import pytest
from redis.exceptions import RedisError

from shared.errors import UnavailableError
from shared.line import client
from shared.line.client import AnswerUnknownError
from shared.line.take import report_alive
from shared.settings import Settings
from tests.crash.flows import Desk
from tests.lines import LineDriver
from worker.ahead import Turn
from worker.batch import BatchRunner, CommitUnknownError

PARTITION: Final = 3
ROUNDS: Final = 40
REQUESTS: Final = 20
TURNS_MAX: Final = 300
FATES: Final = {
    "lost": 0.04,
    "late": 0.16,
    "unheard": 0.2,
    "fine": 1.0,
}  # of a script: so many have it, or one before
LATE_NOW: Final = 0.12  # that a late one is run before another
COMMIT_RISK: Final = 0.04


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A worker that decides two requests at a time."""
    return replace(settings, batch_max=2)


class Troubles:
    """What becomes of what is sent; `late` is what Redis has not looked at yet."""

    def __init__(self, rng: random.Random, desk: Desk) -> None:
        self.rng, self._desk = rng, desk
        self.late: list[tuple[Any, ...]] = []
        self._send, self._commit = client._send, BatchRunner._commit

    @contextlib.contextmanager
    def begun(self) -> Iterator[None]:
        """For the length of the block."""
        commit = self._commit

        def committing(runner: BatchRunner, session: Any) -> None:
            if self.rng.random() < COMMIT_RISK:
                raise psycopg2.OperationalError("planted")
            commit(runner, session)
            if self.rng.random() < COMMIT_RISK:
                raise CommitUnknownError

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(client, "_send", self._sending)
            patch.setattr(BatchRunner, "_commit", committing)
            yield

    def run_late(self) -> None:
        """One of those, if there is one."""
        if self.late:
            with contextlib.suppress(RedisError):
                self._desk.redis.execute_command(*self.late.pop(0))

    def _sending(self, connection: Any, *commands: tuple[Any, ...]) -> None:
        for command in commands:
            if self.rng.random() < LATE_NOW:
                self.run_late()
            drawn = self.rng.random()
            fate = next(fate for fate, share in FATES.items() if drawn < share)
            if fate == "late":
                self.late.append(command)
            elif fate != "lost":
                self._send(connection, command)
            if fate == "unheard":
                connection.read_response()
            if fate != "fine":
                raise ConnectionError(fate)


def serve(desk: Desk, driver: LineDriver, troubles: Troubles) -> None:
    """The worker's loop, until nothing is left."""
    for _ in range(TURNS_MAX):
        goes_on = iter([True] * troubles.rng.randrange(6))
        try:
            claim = driver.session.held[PARTITION]
            assert claim is not None
            with troubles.begun():
                done = driver.batches.run_once(
                    driver.session, claim, Turn(lambda _, goes_on=goes_on: next(goes_on, False))
                )
        except (
            psycopg2.Error,
            RedisError,
            UnavailableError,
            AnswerUnknownError,
            CommitUnknownError,
        ) as error:
            driver.session.rollback()
            if isinstance(error, CommitUnknownError):
                driver.fence()
            report_alive(driver.runner, PARTITION, driver.batches.instance)
            continue
        if done == "empty" and not troubles.late and desk.count_undecided() == 0:
            return
        if done == "empty":
            troubles.run_late()
    raise AssertionError("the line does not become empty")


@pytest.mark.parametrize("calls_off", [False, True])
def test_everything_is_decided_once_and_in_order(desk: Desk, driver: LineDriver, calls_off: bool) -> None:
    driver.claim()
    driver.decide_all()  # Redis knows the scripts
    for number in range(ROUNDS):
        rng = random.Random(number)
        events = desk.open_events(2, partition=PARTITION, capacity=4)
        called_off_at = rng.randrange(REQUESTS) if calls_off else None
        for place in range(REQUESTS):
            desk.book(rng.choice(events), rng.choice(desk.users))
            if place == called_off_at:
                desk.call_off(events[0])
        serve(desk, driver, Troubles(rng, desk))
        for event in events:
            arrivals = desk.arrivals(event)
            assert arrivals == list(range(1, len(arrivals) + 1)), number
    desk.assert_kept()
