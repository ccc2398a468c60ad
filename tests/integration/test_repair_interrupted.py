"""A repair may be interrupted anywhere, and the API may go on accepting: the line comes out whole all the same."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from scripts.repairs import run_repair
from shared.line.client import ScriptRunner
from shared.settings import Settings
from tests.backups import Backup
from tests.crash.flows import Desk, Flow, opened_desk
from tests.repairs import PARTITION, bring_back, decide, everything, take_and_die


@pytest.fixture
def desk(settings: Settings, engine: Engine) -> Iterator[Desk]:
    with opened_desk(settings, engine) as desk:
        yield desk


class PowerCutError(Exception):
    """Whoever repairs is gone."""


def repair_until_cut(desk: Desk, monkeypatch: pytest.MonkeyPatch, calls: int) -> bool:
    """Repairs and is cut off at the script after so many; False when it came to its end before."""
    run, left = ScriptRunner.run, [calls]

    def cut(self: ScriptRunner, name: str, *arguments: Any) -> Any:
        if name != "claim":
            left[0] -= 1
            if left[0] < 0:
                raise PowerCutError
        return run(self, name, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(ScriptRunner, "run", cut)
        try:
            run_repair(desk.settings)
        except PowerCutError:
            return True
    return False


class TestInterrupted:
    @pytest.mark.parametrize("chunk", [1000, 3])
    def test_with_an_older_postgres(self, desk: Desk, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
        monkeypatch.setattr("shared.line.mend.CHUNK", chunk)
        event, other = desk.open_events(2, partition=PARTITION, capacity=5)
        backup = Backup(desk.engine)
        for _ in range(2):
            desk.book_each(event)
            desk.book_each(other)
        decide(desk, 17)
        take_and_die(desk, 7)
        backup.restore()
        calls = 0
        while repair_until_cut(desk, monkeypatch, calls):
            calls += 1
        assert calls > 3
        assert run_repair(desk.settings).mends == []
        desk.assert_audit_clean()
        decide(desk)
        desk.assert_kept()

    def test_with_an_older_redis(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("shared.services.repair.partition._REPLY_CHUNK", 3)
        (event,) = desk.open_events(1, partition=PARTITION, capacity=5)
        desk.book_each(event)
        take_and_die(desk, 5)
        older = everything(desk.redis)
        decide(desk)
        bring_back(desk.redis, older)
        calls = 0
        while repair_until_cut(desk, monkeypatch, calls):
            calls += 1
        assert calls > 3
        assert run_repair(desk.settings).mends == []
        desk.assert_kept()

    def test_lets_go_of_the_partitions(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        (event,) = desk.open_events(1, partition=PARTITION, capacity=5)
        backup = Backup(desk.engine)
        desk.book_each(event)
        decide(desk)
        backup.restore()
        assert repair_until_cut(desk, monkeypatch, 0)
        run_repair(desk.settings)
        assert decide(desk) == 8


class TestWhileOthersAreAccepted:
    def test_nobody_is_lost_and_nobody_overtakes(self, desk: Desk) -> None:
        events = desk.open_events(2, partition=PARTITION, capacity=400)
        backup = Backup(desk.engine)
        # Slower than they are decided: Redis keeps 20,000 decided jobs, and what it has forgotten nobody can put back.
        with Flow(desk, events, threads=3, pause_seconds=0.002) as flow:
            flow.await_more(200)
            decide(desk)
            backup.restore()
            flow.await_more(20)
            mended = {mend.what for mend in run_repair(desk.settings).mends}
            flow.await_more(20)
        assert "put_back" in mended
        decide(desk)
        flow.assert_kept()
        assert desk.query("select sum(arrivals_reissued) from events") == [(0,)]
