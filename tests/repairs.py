"""What tests of `guichet audit --repair` share: damage is done, found, mended, and stays mended."""

import uuid
from dataclasses import replace

import pytest
from redis import Redis

from scripts.audit import run_audit
from scripts.repairs import run_repair
from shared.line import keys
from shared.line.accept import Accepted
from shared.line.status import LineJob
from tests.crash.flows import Desk, recover
from tests.lines import LineDriver

PARTITION = 3

_BUCKETS = keys.rate_of_user("").encode()


def decide(desk: Desk, count: int | None = None) -> int:
    """A worker comes, decides so many requests (all of them when no number is given), and goes."""
    if count is None:
        return recover(desk.settings, desk.engine)
    driver = LineDriver(replace(desk.settings, batch_max=count), desk.engine)
    try:
        driver.claim()
        assert driver.decide(PARTITION) == count
        return count
    finally:
        driver.close()


def take_and_die(desk: Desk, count: int = 250) -> None:
    """What lies in flight after a worker was killed right after its take."""
    driver = LineDriver(replace(desk.settings, batch_max=count), desk.engine)
    driver.claim()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("worker.batch.BatchRunner._decide", _die)
        with pytest.raises(KeyboardInterrupt):
            driver.decide(PARTITION)
    driver.close()
    assert desk.redis.llen(keys.in_flight(PARTITION)) > 0


def _die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def found_by_audit(desk: Desk) -> set[str]:
    """Checks that fail, and `note` when it says that places or waits are told wrong."""
    tally = run_audit(desk.settings)
    return set(tally.failed) | {"note" for note in tally.notes if "--repair" in note}


def mend(desk: Desk) -> list[str]:
    """What a repair mended. Before it, a dry run says the same and changes nothing; after it, nothing is left."""
    before = everything(desk.redis)
    foreseen = [
        (m.what, m.partition, m.count, m.items) for m in run_repair(desk.settings, dry_run=True).mends
    ]
    assert everything(desk.redis) == before
    report = run_repair(desk.settings)
    done = [(m.what, m.partition, m.count, m.items) for m in report.mends]
    assert [m for m in done if m[0] != "token"] == foreseen
    again = run_repair(desk.settings)
    assert again.mends == []
    assert set(again.beyond) <= set(report.beyond)
    return list(dict.fromkeys(m.what for m in report.mends if m.what != "token"))


def everything(redis: "Redis") -> dict[bytes, bytes]:
    """Every key with its value, but token buckets, which vanish by themselves when they are full."""
    names = sorted(redis.scan_iter(count=1000))
    return {name: redis.dump(name) for name in names if not name.startswith(_BUCKETS)}


def bring_back(redis: "Redis", older: dict[bytes, bytes]) -> None:
    """Redis from an older copy."""
    redis.flushall()
    for key, value in older.items():
        redis.restore(key, 0, value)


def waiting(desk: Desk) -> list[uuid.UUID]:
    """The jobs in the queue, in order."""
    return [uuid.UUID(raw.decode()) for raw in desk.redis.lrange(keys.queue(PARTITION), 0, -1)]


def job_of(desk: Desk, answer: Accepted) -> LineJob:
    """The job as its owner sees it."""
    job = desk.line.find_job(answer.job_id)
    assert isinstance(job, LineJob)
    return job
