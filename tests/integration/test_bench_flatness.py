"""`guichet bench` at tiny sizes: what must cost the same however much there is."""

import pytest

from tests.bench_runs import FLATNESS, EveryMeasurement, Reports, run_tiny


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    return run_tiny(tmp_path_factory.mktemp("bench"), FLATNESS)


@pytest.mark.parametrize("name", FLATNESS)
class TestEveryMeasurement(EveryMeasurement):
    pass
