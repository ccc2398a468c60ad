"""Whatever is sent, the answer is one of the document's, tells nothing of the inside, and a refusal leaves no trace.

`--hostile-cases=N`, `--hostile-seed=S`, `--hostile-shard=i/n`: how many, which, and which part of them. A case that
failed runs alone with `--hostile-case=I`, with those before it in its world with `--hostile-case=I-J`.
"""

import pytest

from tests.hostile.judge import Judge
from tests.hostile.running import run_cases
from tests.hostile.world import open_world

# Files are opened by whoever is asked for them, and nobody reads to the end.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file .*/api/static/:ResourceWarning")


@pytest.fixture(scope="module")
def world(postgres, redis_server, tmp_path_factory):
    """Everything that a request may be about."""
    with open_world(postgres, redis_server, tmp_path_factory.mktemp("world")) as world:
        yield world


def indices_of(config: pytest.Config) -> range:
    """The numbers of the cases that are asked for."""
    if only := config.getoption("--hostile-case"):
        first, _, last = only.partition("-")
        return range(int(first), int(last or first) + 1)
    number, _, shards = config.getoption("--hostile-shard").partition("/")
    cases = config.getoption("--hostile-cases") // int(shards)
    start = (int(number) - 1) * cases
    return range(start, start + cases)


class TestHostileInput:
    def test_is_answered_as_the_document_says_and_leaves_no_trace(self, world, pytestconfig):
        indices, seed = indices_of(pytestconfig), pytestconfig.getoption("--hostile-seed")
        tally = run_cases(world, Judge(world.app), indices, seed)
        print(f"{tally.cases} cases, {tally.faulty} faults: {sorted(tally.statuses.items())}")
        if tally.faults:
            pytest.fail("\n\n".join(tally.faults.values()), pytrace=False)
        assert tally.cases == len(indices)
