"""What `scaling` counts: the time in which every worker had something to do."""

import pytest

from scripts.benches.cores import CoresWatch
from scripts.benches.window import Window, find_window


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
