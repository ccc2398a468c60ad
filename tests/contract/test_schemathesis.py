"""Calls that schemathesis makes up from `/openapi.json`, against the real application: it answers only what the
document says. Every operation, as nobody, a user, a host and an admin; with ids that exist and ids that do not.

`--contract-cases=N` makes about N calls as each of them.
"""

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Final

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.schemas import APIOperation, BaseSchema

from tests.contract_calls import aim, checks_of, load_schema
from tests.contract_world import ACTORS, World, open_world

# Files are opened by whoever is asked for them; schemathesis reads its answers and does not close them.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file .*/api/static/:ResourceWarning")

ACCEPTED: Final = ("*/*", "application/json")
# Calls of one operation, however many there are: fewer, and it is luck whether one of them succeeds.
CASES_MIN: Final = 20
# A busy machine may answer 503, as the document says, and nothing has happened: asked again so often.
BUSY_MAX: Final = 5
MODES: Final = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
# What never succeeds here, and why.
NEVER_SUCCEEDS: Final[dict[str, str]] = {
    "DELETE /api/bookings/status/{job_id}": "the worker has decided every request before",
    "POST /login": "a browser's form, with the token of its page",
    "POST /logout": "the same",
}


@dataclass
class Tally:
    """What came of one actor's calls."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        return self.statuses.total()

    @property
    def succeeded(self) -> set[str]:
        """The operations that did what they are for."""
        return {label for label, status in self.statuses if 200 <= status < 300}


@pytest.fixture(scope="module")
def world(postgres, redis_server, tmp_path_factory) -> Iterator[World]:
    """A database, a Redis, a worker and an application for all calls."""
    with open_world(postgres, redis_server, tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture(scope="module")
def schema(world) -> BaseSchema:
    """The document, as the application serves it to this machine."""

    return load_schema(world)


@pytest.fixture(scope="module")
def operations(schema) -> list[APIOperation]:
    """Everything that can be called."""
    return [result.ok() for result in schema.get_all_operations()]


@pytest.fixture(scope="module")
def call_as(world, schema, operations, contract_cases) -> Callable[[str], Tally]:
    """Calls everything as an actor, once."""

    @cache
    def call(actor: str) -> Tally:
        return call_everything(world, schema, operations, actor, contract_cases)

    return call


def call_everything(
    world: World, schema: BaseSchema, operations: list[APIOperation], actor: str, cases: int
) -> Tally:
    """About `cases` calls as `actor`: for each operation some edges of its parameters and bodies, then whatever
    hypothesis makes up, valid and not; the same in every run.
    """
    tally = Tally()
    quota = max(CASES_MIN, cases // len(operations))
    for operation in operations:
        edges = list(
            schema.iter_coverage_cases(
                operation,
                generation_modes=MODES,
                generation_config=schema.config.generation_for(operation=operation),
            )
        )
        random.Random(f"{actor} {operation.label}").shuffle(edges)
        for turn, case in enumerate(edges[: quota // 2]):
            make_call(world, tally, actor, case, turn)
        for mode in MODES if has_something_to_get_wrong(operation) else MODES[:1]:
            # From 1 on: most of what is valid is about things that exist, every third time the document's example.
            turns = itertools.count(1)

            def call(case: Case, turns: Iterator[int] = turns) -> None:
                make_call(world, tally, actor, case, next(turns))

            make_up(operation, mode, quota // 4, call)
    return tally


def has_something_to_get_wrong(operation: APIOperation) -> bool:
    """False where only headers are taken, and any will do: hypothesis would try hundreds of times."""
    raw = operation.definition.raw
    return "requestBody" in raw or any("$ref" not in parameter for parameter in raw["parameters"])


def make_up(operation: APIOperation, mode: GenerationMode, count: int, call: Callable[[Case], None]) -> None:
    """`count` calls out of hypothesis. What goes wrong is collected, so nothing is shrunk."""

    @hypothesis.settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(operation.as_strategy(generation_mode=mode))
    def run(case: Case) -> None:
        call(case)

    try:
        run()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, operation.label  # such as a path where any word will do


def make_call(world: World, tally: Tally, actor: str, case: Case, turn: int) -> None:
    """The call of that turn of its operation, two times out of three about things that exist."""
    operation_id = case.operation.definition.raw["operationId"]
    caller = world.choose_caller(actor, operation_id)
    if turn % 3:
        aim(world, caller, case, with_example=turn % 3 == 1)
    headers = {
        "Accept": ACCEPTED[turn % 2],
        "Accept-Encoding": "identity",  # schemathesis does not unpack what comes through WSGI
        **world.log_in(caller),
    }
    for _ in range(BUSY_MAX):
        response = case.call(headers=headers)
        if response.status_code != 503:
            break
    tally.statuses[case.operation.label, response.status_code] += 1
    try:
        case.validate_response(response, checks=checks_of(response), headers=headers)
    except FailureGroup as group:
        for failure in group.exceptions:
            report = f"as {actor}: {failure}\n{case.as_curl_command()}\n{response.content[:500]!r}"
            tally.failures.setdefault((case.operation.label, type(failure).__name__), report)
    world.tidy_up(operation_id)


@pytest.mark.parametrize("actor", ACTORS)
def test_answers_only_what_the_document_says(call_as, actor, contract_cases):
    tally = call_as(actor)
    if tally.failures:
        pytest.fail("\n\n".join(tally.failures.values()), pytrace=False)
    assert tally.calls >= contract_cases / 2


def test_everything_succeeds_for_somebody(call_as, operations):
    """Otherwise the calls above would only show that refusals are as described."""
    succeeded = set().union(*(call_as(actor).succeeded for actor in ACTORS))
    assert {operation.label for operation in operations} - succeeded == set(NEVER_SUCCEEDS)
