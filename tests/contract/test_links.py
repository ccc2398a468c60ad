"""The document's links lead where they say: each one is followed, and chains of them that schemathesis makes up."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test
from schemathesis import Case, Response
from schemathesis.core.failures import FailureGroup
from schemathesis.generation.stateful.state_machine import APIStateMachine, StepInput, StepOutput

from api.openapi.links import LINKS, Link
from tests.contract_calls import aim, checks_of, give_example, load_schema
from tests.contract_world import World, open_world
from tests.factories import make_event

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file .*/api/static/:ResourceWarning")

# Of each caller: so many chains of so many calls.
SEEDS: Final = 5
CHAINS_A_SEED: Final = 5
CHAIN_CALLS: Final = 6
CALLERS: Final = ("user", "host", "admin")
HOSTS_OWN: Final = {"events_create", "organizations_create"}
# What a call through a link may be refused with: it came too late. Anything else would mean that the link is wrong.
TOO_LATE: Final = {409}
LINKED: Final = sorted(
    {
        *LINKS,
        *(
            link.operation_id
            for links in LINKS.values()
            for named in links.values()
            for link in named.values()
        ),
    }
)
BOOKING: Final = {"bookings_book", "bookings_book_event", "bookings_register"}


@pytest.fixture(scope="module")
def world(postgres, redis_server, tmp_path_factory) -> Iterator[World]:
    """A database, a Redis, a worker and an application for all calls."""
    with open_world(postgres, redis_server, tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture(scope="module")
def schema(world):
    """The document, with its links."""
    return load_schema(world)


@pytest.fixture(scope="module")
def operations(schema) -> dict[str, Any]:
    """Everything that can be called, by its id."""
    found = [result.ok() for result in schema.get_all_operations()]
    return {operation.definition.raw["operationId"]: operation for operation in found}


def ask(world: World, operation: Any, actor: str, *, wait: int, **known: Any) -> Any:
    """The answer to the document's example of a call, about things that exist, or about what is `known`."""
    who = world.callers[actor]
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    case = operation.Case(path_parameters=dict.fromkeys(names, "0"))
    aim(world, who, case, with_example=True)
    body = dict(case.body) if isinstance(case.body, dict) else {}
    for name, value in known.items():
        (case.path_parameters if name in names else body)[name] = value
    return world.app.test_client().open(
        operation.path.format(**case.path_parameters),
        method=operation.method.upper(),
        json=body or None,
        headers={**world.log_in(who), "Prefer": f"wait={wait}"},
    )


def known_before(world: World, operation_id: str, status: int) -> dict[str, Any]:
    """What a call has to be about so that it is answered with this status."""
    caller = world.callers["user"]
    if operation_id in BOOKING and status == 200:
        return {"event_id": world._sold_out(waiting=None), "waitlist": True}
    if operation_id in BOOKING:
        return {"event_id": make_event(world.engine, host=world.callers["host"]).id}
    if operation_id == "bookings_history":
        world._book(caller)
    if operation_id == "notifications_list_own":
        world._tell(caller)
    return {}


def value_of(document: Any, link: Link) -> Any:
    """What the link's expression names in an answer."""
    for name in link.expression.removeprefix("$response.body#/").split("/"):
        document = document[int(name) if name.isdigit() else name]
    return document


class TestEachLink:
    @pytest.mark.parametrize(
        ("operation_id", "status", "name"),
        [
            pytest.param(operation_id, status, name, id=f"{operation_id}-{status}-{name}")
            for operation_id, statuses in LINKS.items()
            for status, links in statuses.items()
            for name in links
        ],
    )
    def test_leads_to_a_call_that_succeeds(self, world, operations, operation_id, status, name):
        link = LINKS[operation_id][status][name]
        actor = "host" if operation_id in HOSTS_OWN else "user"
        known = known_before(world, operation_id, status)
        answer = ask(world, operations[operation_id], actor, wait=0 if status == 202 else 30, **known)
        assert answer.status_code == status, answer.text
        about = {link.parameter: value_of(answer.json, link)}
        followed = ask(world, operations[link.operation_id], actor, wait=30, **about)
        assert followed.status_code < 300 or followed.status_code in TOO_LATE, followed.text


class Walk:
    """What came of chains of calls."""

    def __init__(self) -> None:
        self.followed: Counter[str] = Counter()
        self.failures: dict[tuple[str, str], str] = {}


def machine_of(world: World, schema: Any, actor: str, walk: Walk) -> type[APIStateMachine]:
    """schemathesis' chains, by one caller; what goes wrong is collected, so nothing is tried again."""
    caller = world.callers[actor]

    class Chain(schema.include(operation_id=LINKED).as_state_machine()):
        def step(self, input: StepInput) -> StepOutput:  # noqa: A002 - schemathesis' name
            if input.transition is None:
                aim(world, caller, input.case, with_example=True)
            else:
                give_example(world, caller, input.case)
            output: StepOutput = super().step(input)
            if input.transition is not None and input.is_applied and output.response.status_code < 300:
                walk.followed[input.case.operation.definition.raw["operationId"]] += 1
            world.tidy_up(input.case.operation.definition.raw["operationId"])
            return output

        def get_call_kwargs(self, case: Case) -> dict[str, Any]:
            return {"headers": {"Accept-Encoding": "identity", **world.log_in(caller)}}

        def validate_response(self, response: Response, case: Case, **options: Any) -> None:
            if response.status_code == 503:  # a busy machine
                return
            try:
                case.validate_response(response, checks=checks_of(response), headers=options["headers"])
            except FailureGroup as group:
                for failure in group.exceptions:
                    report = f"as {actor}: {failure}\n{case.as_curl_command()}\n{response.content[:500]!r}"
                    walk.failures.setdefault((case.operation.label, type(failure).__name__), report)

    return Chain


class TestChains:
    @pytest.mark.parametrize("actor", CALLERS)
    def test_are_answered_as_the_document_says(self, world, schema, actor):
        world._tell(world.callers[actor])
        world._book(world.callers[actor])
        walk = Walk()
        machine = machine_of(world, schema, actor, walk)
        settings = hypothesis.settings(
            max_examples=CHAINS_A_SEED,
            stateful_step_count=CHAIN_CALLS,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        for number in range(SEEDS):
            # What was booked once is booked: a chain that begins like another may go on differently, which hypothesis
            # calls flaky. Its answers were checked all the same.
            with contextlib.suppress(Flaky):
                run_state_machine_as_test(hypothesis.seed(number)(machine), settings=settings)
        if walk.failures:
            pytest.fail("\n\n".join(walk.failures.values()), pytrace=False)
        print(walk.followed)
        assert len(walk.followed) >= 5, walk.followed
