"""`guichet bench` at tiny sizes: more processes, and the model."""

import pytest

from tests.bench_runs import SCALING, Reports, run_tiny


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    return run_tiny(tmp_path_factory.mktemp("bench"), SCALING)


@pytest.mark.parametrize("name", SCALING)
class TestEveryMeasurement:
    def test_runs_and_is_audited(self, name: str, reports: Reports) -> None:
        reports.assert_ran(name)

    def test_has_its_bars_in_the_report(self, name: str, reports: Reports) -> None:
        reports.assert_bars(name)

    def test_has_its_figures_and_charts_on_the_page(self, name: str, reports: Reports) -> None:
        reports.assert_shown(name)
