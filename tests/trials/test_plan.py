"""What a trial is to be comes from its seed, and every kind of fault gets its turn."""

import itertools
import random
import threading

import pytest

from scripts.trials.history import Fault
from scripts.trials.injector import Injector, Lane, rounds
from scripts.trials.plan import make_plan
from tests.lines import await_that


def plan(seed: int, *kinds: str):
    return make_plan(seed=seed, minutes=1, people=8, kinds=kinds)


class TestAPlan:
    def test_is_the_same_for_the_same_seed(self):
        assert [plan(seed) for seed in range(20)] == [plan(seed) for seed in range(20)]

    def test_has_two_workers_or_four_and_a_door_or_none(self):
        plans = [plan(seed) for seed in range(50)]
        assert {made.workers for made in plans} == {2, 4}
        assert {made.door for made in plans} == {True, False}

    def test_wants_every_kind_unless_some_are_named(self):
        assert plan(1).wants("Redis: SIGKILL")
        assert plan(1, "redis", "COMMIT").wants("Redis: SIGKILL")
        assert plan(1, "redis", "COMMIT").wants("killed after COMMIT")
        assert not plan(1, "redis", "COMMIT").wants("worker: SIGKILL")


class TestRounds:
    def test_bring_every_kind_once_before_any_comes_again(self):
        kinds = [f"kind {number}" for number in range(9)]
        drawn = list(itertools.islice(rounds(kinds, random.Random(3)), 27))
        assert [sorted(drawn[start : start + 9]) for start in (0, 9, 18)] == [kinds] * 3
        assert drawn[:9] != drawn[9:18]

    def test_are_none_without_kinds(self):
        assert list(rounds([], random.Random(3))) == []


def fault(kind: str) -> Fault:
    return Fault(kind=kind, target="somebody", began_at=0.0, ended_at=0.0)


class TestTheInjector:
    def test_heals_what_is_under_way_before_it_stops(self):
        begun, may_heal, noted = threading.Event(), threading.Event(), []

        def inject(_chance: random.Random) -> Fault:
            begun.set()
            assert may_heal.wait(30)
            return fault("slow")

        injector = Injector([Lane("one", {"slow": inject}, (0.0, 0.0))], 1, noted.append)
        injector.start()
        assert begun.wait(30)
        stopping = threading.Thread(target=injector.stop)
        stopping.start()
        assert noted == []
        may_heal.set()
        stopping.join(30)
        assert [found.kind for found in noted] == ["slow"]

    def test_that_fails_itself_says_so_and_injects_no_more(self):
        noted: list[Fault] = []

        def fail(_chance: random.Random) -> Fault:
            raise OSError("no such server")

        injector = Injector([Lane("one", {"broken": fail}, (0.0, 0.0))], 1, noted.append)
        injector.start()
        await_that(lambda: injector.errors != [], what="the error")
        injector.stop()
        assert len(injector.errors) == 1
        assert "no such server" in injector.errors[0]

    @pytest.mark.parametrize("seed", [1, 2])
    def test_asks_in_the_order_of_its_seed(self, seed):
        def kinds_of_a_run() -> list[str]:
            noted: list[Fault] = []
            lane = Lane("one", {kind: lambda _, kind=kind: fault(kind) for kind in "abcdef"}, (0.0, 0.0))
            injector = Injector([lane], seed, noted.append)
            injector.start()
            await_that(lambda: len(noted) >= 12, what="two rounds")
            injector.stop()
            return [found.kind for found in noted[:12]]

        assert kinds_of_a_run() == kinds_of_a_run()
