"""`guichet bench` at tiny sizes: more processes, and the model."""

import pytest

from tests.bench_runs import SCALING, EveryMeasurement, Reports, run_tiny


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    return run_tiny(tmp_path_factory.mktemp("bench"), SCALING)


@pytest.mark.parametrize("name", SCALING)
class TestEveryMeasurement(EveryMeasurement):
    pass
