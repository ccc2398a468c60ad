"""What `scaling` counts: the time in which every worker had something to do. And what its model is told."""

import pytest

from scripts.benches.cores import CoresWatch
from scripts.benches.scaling import Runs, calibrate_from, predict
from scripts.benches.scaling_runs import Run
from scripts.benches.window import Window, find_window
from scripts.capacity.calibration import Mixture
from scripts.capacity.model import CORES, WORKERS, Demand


class TestTheWindow:
    def test_begins_when_the_last_event_has_begun_and_ends_when_the_first_has_ended(self):
        batches = [
            (1, 10.0, 250),
            (1, 11.0, 250),
            (1, 12.0, 250),
            (2, 10.5, 250),
            (2, 11.5, 250),
            (2, 13.0, 9),
        ]
        assert find_window(batches) == Window(10.5, 12.0, 750, 3)

    def test_is_everything_where_an_event_is_one_batch(self):
        batches = [(1, 10.0, 8), (2, 11.0, 8), (2, 12.0, 8)]
        assert find_window(batches) == Window(10.0, 12.0, 24, 3)


class TestCoresThatOthersLeft:
    def watch(self, *samples):
        found = CoresWatch()
        found._samples = list(samples)
        return found

    def test_are_all_but_what_was_busy_beside_us(self, monkeypatch):
        monkeypatch.setattr("os.cpu_count", lambda: 2)
        watch = self.watch((100.0, 50.0), (101.0, 51.6), (102.0, 53.2))
        assert watch.available(100.0, 102.0, own_cpu_seconds=2.4) == pytest.approx(2 - 0.4)

    def test_are_all_where_only_we_were_busy(self, monkeypatch):
        monkeypatch.setattr("os.cpu_count", lambda: 2)
        watch = self.watch((100.0, 50.0), (102.0, 53.0))
        assert watch.available(100.5, 101.5, own_cpu_seconds=1.5) == pytest.approx(2)

    def test_are_all_where_no_time_went_by(self, monkeypatch):
        monkeypatch.setattr("os.cpu_count", lambda: 2)
        assert self.watch((100.0, 50.0)).available(100.0, 100.0, own_cpu_seconds=0) == 2


class TestTheModelOfARun:
    """Two cores. Alone an accept takes 400 µs, a decision in a batch of 500 takes 110; beside each other 1.2 as much."""

    def runs(self):
        accept = Run(rate=3_200, each=Demand(api_us=300, redis_us=70, client_us=30), cores=2.0)
        decision = Demand(worker_us=35, postgres_us=25, redis_us=50, wait_us=20)
        decisions = Run(rate=12_500, each=decision, cores=2.0, batch_size=500)
        small = Run(
            rate=4_000, each=Demand(worker_us=70, postgres_us=100, redis_us=60), cores=2.0, batch_size=25
        )
        return Runs(
            accepts={1: [accept], 2: [accept]},
            decisions={1: [decisions], 2: [decisions]},
            small_batches=[small],
            end_to_end=[accept],
            beside=[Mixture(accepts=2_000, decisions=10_000, batches=20, seconds=1.14, cores=2.0)],
        )

    def predict(self):
        runs = self.runs()
        return predict(calibrate_from(runs), runs)

    def test_gives_back_the_decisions_of_one_worker_that_it_is_told(self):
        found = self.predict()["decisions, 1 worker"]
        assert found.model.limit.resource == WORKERS
        assert found.error == pytest.approx(0, abs=0.01)

    def test_takes_company_from_one_of_each_for_two_of_a_kind(self):
        found = self.predict()
        for name, alone_us in (("accepts, 2 API processes", 400), ("decisions, 2 workers", 110)):
            assert found[name].model.limit.resource == CORES
            assert found[name].model.per_second == pytest.approx(2e6 / (1.2 * alone_us), rel=0.01)
