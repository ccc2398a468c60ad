"""When a load test's requests are due."""

from itertools import pairwise

import pytest

from scripts.load.arrivals import Arrivals, due_times


class TestDueTimes:
    @pytest.mark.parametrize("arrivals", ["closed", "burst"])
    def test_are_all_at_once_where_connections_set_the_pace(self, arrivals: Arrivals) -> None:
        assert list(due_times(arrivals, 4, rate=0, seed=1)) == [0.0] * 4

    def test_of_independent_people_come_at_the_rate_on_average(self) -> None:
        dues = list(due_times("poisson", 20_000, rate=200, seed=1))
        assert dues == sorted(dues)
        assert dues[-1] == pytest.approx(100, rel=0.03)
        gaps = [later - earlier for earlier, later in pairwise(dues)]
        mean = sum(gaps) / len(gaps)
        variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
        assert variance == pytest.approx(mean**2, rel=0.1)  # exponential: as wide as its mean

    def test_are_the_same_for_the_same_seed(self) -> None:
        first = list(due_times("poisson", 50, rate=10, seed=7))
        assert first == list(due_times("poisson", 50, rate=10, seed=7))
        assert first != list(due_times("poisson", 50, rate=10, seed=8))

    def test_need_a_rate(self) -> None:
        with pytest.raises(ValueError, match="rate"):
            list(due_times("poisson", 1, rate=0, seed=1))
