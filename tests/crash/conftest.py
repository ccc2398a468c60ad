"""What crash tests share."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine

from shared.db import make_engine
from shared.line import keys
from shared.settings import Settings
from tests.crash.flows import Desk, opened_desk, recover
from tests.crash.lives import Life, Lives, die_at_every_moment, started_lives
from tests.crash.mortality import BEFORE


@pytest.fixture
def desk(settings: Settings, engine: Engine) -> Iterator[Desk]:
    """Somebody who asks for tickets."""
    with opened_desk(settings, engine) as desk:
        yield desk


@pytest.fixture
def own_desk(own_settings: Settings) -> Iterator[Desk]:
    """The same on servers that the test may crash."""
    engine = make_engine(own_settings.database_url)
    with opened_desk(own_settings, engine) as desk:
        yield desk
    engine.dispose()


@pytest.fixture
def lives(settings: Settings) -> Iterator[Lives]:
    """Workers that die where the test says so."""
    with started_lives(settings) as lives:
        yield lives


@pytest.fixture
def sweep(desk: Desk, lives: Lives, settings: Settings, engine: Engine) -> Callable[..., list[str]]:
    """Asks, lets a worker die at every moment of its life, one a time; recovers and checks every time.

    `prelude` are deaths of workers before it, at call `prelude_at`. Gives the calls at which somebody died: the last
    life had none to die at, so these are all.
    """

    def run(
        ask: Callable[[], object],
        *,
        check: Callable[[], object] = lambda: None,
        before_recovery: Callable[[], object] = lambda: None,
        prelude: int = 0,
        prelude_at: int = 7,
        steady: bool = True,
        **order: object,
    ) -> list[str]:
        def live(at: int, when: str) -> Life:
            ask()
            # Workers killed a moment ago still count as alive, and would be left a share of the partitions.
            desk.redis.delete(keys.LIVE_WORKERS)
            for _ in range(prelude):
                first = lives.live(**{**order, "at": prelude_at, "when": BEFORE, "batches_only": True})
                assert first.killed_at is not None
                desk.redis.delete(keys.LIVE_WORKERS)
            life = lives.live(at=at, when=when, **order)
            before_recovery()
            recover(settings, engine)
            assert desk.count_undecided() == 0
            check()
            return life

        return die_at_every_moment(live, steady=steady)

    return run
