"""What made-up calls have in common: the schema as the application serves it, aims that exist, checks."""

import copy
from typing import Any, Final

import schemathesis
from schemathesis import Case, GenerationMode, Response
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.core.parameters import ParameterLocation
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi import checks

from shared.models import User
from tests.contract_world import World

CHECKS: Final[list[CheckFunction]] = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.allow_header_conformance,
    checks.unsupported_method,
    checks.ignored_auth,
    checks.negative_data_rejection,
]
# schemathesis holds the schema against each message, as OpenAPI 3.2 would; in 3.1 it is that of the whole text.
STREAM_CHECKS: Final = [check for check in CHECKS if check is not checks.response_schema_conformance]
# Two methods that an address does not take are enough; a parameter given twice is an edge too.
COVERAGE: Final = {"unexpected-methods": ["PATCH", "TRACE"], "generate-duplicate-query-parameters": True}


def load_schema(world: World) -> BaseSchema:
    """The document, as the application serves it to this machine."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        return world.app({"REMOTE_ADDR": "127.0.0.1", **environ}, start_response)

    config = schemathesis.Config.from_dict({"phases": {"coverage": COVERAGE}})
    return schemathesis.openapi.from_wsgi("/openapi.json", app, config=config)


def aim(world: World, caller: User | None, case: Case, *, with_example: bool) -> None:
    """Names things that exist where the case has names of the same form; the body may be the document's example."""
    for name in case.path_parameters if is_valid(case, ParameterLocation.PATH) else ():
        value = _find(world, caller, case, name)
        if value is not None:
            case.path_parameters[name] = value
    if with_example:
        give_example(world, caller, case)


def give_example(world: World, caller: User | None, case: Case) -> None:
    """The document's example for a body that is not wrong on purpose, about things that exist."""
    operation = case.operation.definition.raw
    body: dict[str, Any] = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    if body and is_valid(case, ParameterLocation.BODY):
        case.body = copy.deepcopy(body["example"])
        case.media_type = "application/json"
        for name in case.body:
            value = _find(world, caller, case, name)
            if value is not None:
                case.body[name] = value
        case.headers.pop("If-Match", None)  # an example's version is not that of the event
        for name in ("Idempotency-Key", "X-Idempotency-Key"):  # and its key was used for another request
            case.headers.pop(name, None)


def is_valid(case: Case, location: ParameterLocation) -> bool:
    """False for a part of the case that is wrong on purpose."""
    component = case.meta.components.get(location) if case.meta else None
    return component is None or component.mode is GenerationMode.POSITIVE


def checks_of(response: Response) -> list[CheckFunction]:
    """The checks that this answer has to stand."""
    is_stream = response.headers.get("content-type", [""])[0].startswith("text/event-stream")
    return STREAM_CHECKS if is_stream else CHECKS


def _find(world: World, caller: User | None, case: Case, name: str) -> Any:
    operation_id = case.operation.definition.raw["operationId"]
    return world.find_value(name, caller=caller, operation_id=operation_id, method=case.method.upper())
