"""A batch with every kind of request in it, and a worker killed with SIGKILL at every single call."""

from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine

from shared.line import keys
from shared.settings import Settings
from tests.crash.flows import Desk, opened_desk
from tests.crash.scenes import PARTITION, PEOPLE, Scene, scenes

# The batch takes six transactions: up to the call-off, its slice and its own row, the same for the end of a waitlist,
# and the rest.
TRANSACTIONS = 6
POINTS_MIN = 55


@pytest.fixture
def desk(settings: Settings, engine: Engine) -> Iterator[Desk]:
    with opened_desk(settings, engine, people=PEOPLE) as desk:
        yield desk


class Stage:
    """The scene that is being played."""

    def __init__(self, desk: Desk) -> None:
        self._ready = scenes(desk)
        self.scene: Scene

    def ask(self) -> None:
        self.scene = next(self._ready)
        self.scene.ask_for_everything()

    def check(self) -> None:
        self.scene.check()


@pytest.fixture
def stage(desk: Desk) -> Stage:
    return Stage(desk)


def test_leaves_what_a_worker_that_lives_would_have_left(
    desk: Desk, stage: Stage, sweep: Callable[..., list[str]]
) -> None:
    points = Counter(sweep(stage.ask, check=stage.check, batches_only=True))
    assert points.total() >= POINTS_MIN
    assert points["commit"] == points["EVALSHA take"] == TRANSACTIONS
    assert points["EVALSHA reply"] == TRANSACTIONS - 2  # slices reply to nobody: they report that they got on
    assert points["EVALSHA progress"] == 2
    desk.assert_kept()


class TestTheSameCheck:
    """Of a worker that does it wrongly says so, or it would prove nothing of one that does it right."""

    def test_sees_a_reply_before_the_commit(self, stage: Stage, sweep: Callable[..., list[str]]) -> None:
        with pytest.raises(AssertionError):
            sweep(stage.ask, check=stage.check, batches_only=True, replies_first=True)

    def test_sees_that_nobody_recovers(
        self, desk: Desk, stage: Stage, sweep: Callable[..., list[str]]
    ) -> None:
        def forget() -> None:
            desk.redis.delete(keys.in_flight(PARTITION))

        with pytest.raises(AssertionError):
            sweep(stage.ask, check=stage.check, before_recovery=forget, batches_only=True)
