"""Costs out of measured batches, and the table of sizes that comes of them."""

import pytest

from scripts.capacity.calibration import (
    Mixture,
    Prediction,
    Sample,
    calibrate,
    in_company,
    price_of_company,
    split,
)
from scripts.capacity.markdown import costs_rows, read_costs
from scripts.capacity.model import Ceiling, Costs, Demand, Throughput
from scripts.capacity.outlook import COLUMNS, SIZES, outlook


def sample(batch_size, *, own, once):
    return Sample(batch_size, Demand(worker_us=own + once / batch_size))


class TestWhatADecisionCosts:
    def test_is_told_apart_from_what_its_batch_costs(self):
        decision, batch = split(sample(25, own=20, once=500), sample(250, own=20, once=500))
        assert (decision.worker_us, batch.worker_us) == (pytest.approx(20), pytest.approx(500))

    def test_is_never_negative_whatever_the_noise(self):
        for much, little in ((10, 30), (900, 30), (30, 30)):
            small, large = Sample(25, Demand(redis_us=much)), Sample(250, Demand(redis_us=little))
            decision, batch = split(small, large)
            assert decision.redis_us >= 0
            assert batch.redis_us >= 0
            assert decision.redis_us + batch.redis_us / 250 == pytest.approx(little)

    def test_of_two_equal_batches_is_all_its_own(self):
        decision, batch = split(sample(8, own=20, once=0), sample(8, own=20, once=0))
        assert (decision.worker_us, batch.worker_us) == (20, 0)

    def test_comes_out_as_it_was_measured(self):
        small, large = sample(25, own=20, once=500), sample(250, own=20, once=500)
        costs = calibrate(
            Demand(api_us=400), small, large, batch_max=250, patient_below=64, patience_us=5_000
        )
        assert costs.decision_in(25).worker_us == pytest.approx(small.each.worker_us)
        assert costs.decision_in(250).worker_us == pytest.approx(large.each.worker_us)


class TestThePriceOfCompany:
    COSTS = Costs(
        accept=Demand(api_us=400, redis_us=100, wait_us=900),
        decision=Demand(worker_us=40, redis_us=60, wait_us=30),
        batch=Demand(postgres_us=2_000, wait_us=500),
    )

    def mixture(self, *, cores):
        return Mixture(accepts=2_000, decisions=8_000, batches=100, seconds=1.25, cores=cores)

    def test_is_the_time_of_all_cores_over_the_cpu_of_the_same_work_alone(self):
        # 1 s of accepts, 0.8 s of decisions and 0.2 s of batches
        assert price_of_company(self.COSTS, self.mixture(cores=2)) == pytest.approx(1.25)

    def test_is_none_where_others_took_the_rest(self):
        assert price_of_company(self.COSTS, self.mixture(cores=1.6)) == pytest.approx(1)

    def test_is_never_a_gain(self):
        assert price_of_company(self.COSTS, self.mixture(cores=1)) == 1

    def test_is_written_and_read_beside_the_costs(self):
        costs = in_company(self.COSTS, 1.234)
        assert costs.company == 1.23
        assert read_costs(costs_rows(costs)) == costs


class TestAPrediction:
    def test_says_by_how_much_it_is_too_high(self):
        assert Prediction("x", 100, Throughput((Ceiling("cores", 115),))).error == pytest.approx(0.15)


class TestTheOutlook:
    def test_names_the_limit_and_the_next_of_every_size(self):
        costs = Costs(
            accept=Demand(api_us=400, redis_us=50),
            decision=Demand(worker_us=20, redis_us=20, postgres_us=20),
            batch=Demand(worker_us=500, redis_us=200, postgres_us=800),
        )
        rows = outlook(costs)
        assert [row[:3] for row in rows] == [tuple(map(str, size)) for size in SIZES]
        assert {len(row) for row in rows} == {len(COLUMNS)}
        assert rows[0][3].endswith("(cores)")
        assert rows[SIZES.index((64, 1, 64))][3] == "20,000 (Redis)"
