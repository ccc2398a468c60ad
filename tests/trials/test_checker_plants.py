"""Every violation that is planted is found, by the invariant that it was made for, and by no other than those named."""

import copy
from collections import Counter

import pytest

import tests.trials.plants_calls
import tests.trials.plants_redis
import tests.trials.plants_tables  # noqa: F401 - they register what they plant
from scripts.trials.checker import INVARIANTS, check
from tests.trials.plants import PLANTS


class TestEveryInvariant:
    def test_has_three_plants_or_more(self):
        planted = Counter(plant.invariant for plant in PLANTS)
        assert {name: planted[name] for name in INVARIANTS if planted[name] < 3} == {}


class TestPlanted:
    @pytest.mark.parametrize(
        "plant", [pytest.param(one, id=one.act.__name__) for one in PLANTS if not one.in_servers]
    )
    def test_in_what_was_read_is_found(self, plant, lived):
        evidence = copy.deepcopy(lived.evidence)
        plant.act(evidence)
        evidence.forget()
        assert check(evidence).broken == plant.broken

    @pytest.mark.parametrize(
        "plant", [pytest.param(one, id=one.act.__name__) for one in PLANTS if one.in_servers]
    )
    def test_in_a_server_is_found(self, plant, scene):
        plant.act(scene)
        assert check(scene.load()).broken == plant.broken
