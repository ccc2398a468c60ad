"""The case of a number: an operation of the document, called as it should be, then bent in one to three ways."""

import random
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.console_calls import CHANGES, READS
from tests.hostile.bodies import BODY_MUTATIONS, FORM, mutate_form, write_json
from tests.hostile.headers import HEADER_MUTATIONS
from tests.hostile.paths import PATH_MUTATIONS
from tests.hostile.queries import QUERY_MUTATIONS
from tests.hostile.request import HostileRequest
from tests.hostile.world import ACTORS, World

# These may end an account: somebody calls whom nobody needs.
ENDING = {
    "accounts_close_own_account",
    "accounts_change_password",
    "accounts_log_out",
    "users_close_account",
    "users_update_user",
}


@dataclass(frozen=True, slots=True)
class Target:
    """One operation of the document."""

    method: str
    path: str
    operation_id: str
    roles: tuple[str, ...]
    example: dict[str, Any] | None
    media_type: str
    parameters: tuple[str, ...]


def targets_of(document: dict[str, Any]) -> list[Target]:
    """Every operation; those that write twice, for there is more to go wrong. And rq-dashboard's, which are no part
    of the document.
    """
    found = []
    for path, item in document["paths"].items():
        for method, operation in item.items():
            content = operation.get("requestBody", {}).get("content", {})
            media_type = next(iter(content), "")
            target = Target(
                method=method.upper(),
                path=path,
                operation_id=operation["operationId"],
                roles=_roles(operation),
                example=content[media_type]["example"] if content else None,
                media_type=media_type,
                parameters=tuple(
                    parameter["name"]
                    for parameter in operation["parameters"]
                    if parameter.get("in") == "query"
                ),
            )
            found += [target] * (1 if method == "get" else 2)
    return found + [
        Target(
            "GET" if pattern in READS else "POST", f"/rq{pattern}", "console", ("anonymous",), None, "", ()
        )
        for pattern in (*READS, *CHANGES)
    ]


def _roles(operation: dict[str, Any]) -> tuple[str, ...]:
    """Who may call."""
    schemes = operation["security"]
    if not schemes or {} in schemes:
        return ACTORS
    wanted = next(iter(schemes[0].values()))
    return {"host": ("host", "admin"), "admin": ("admin",)}.get(
        next(iter(wanted), ""), ("user", "host", "admin")
    )


def make_case(world: World, targets: list[Target], seed: int, index: int) -> HostileRequest:
    """The request of that number: the same for the same seed, but for the ids that the world has given."""
    rng = random.Random(f"{seed}:{index}")
    target = rng.choice(targets)
    actor = rng.choice(target.roles if rng.randrange(8) else ACTORS)
    request = HostileRequest(target.method, b"", operation_id=target.operation_id, notes=[f"as {actor}"])
    request.path = re.sub(
        r"{(\w+)}", lambda found: str(world.find(found[1], rng, method=target.method)), target.path
    ).encode()
    request.headers += world.log_in(actor, briefly=target.operation_id in ENDING).items()
    if target.operation_id == "console" and rng.randrange(4):
        world.open_console(request)
    body = _fill(world, rng, target)
    if body is not None and target.media_type == FORM and rng.randrange(4):
        body |= world.find_form(signed_in=target.operation_id == "console_log_out", request=request)
    if body is not None:
        _set_body(request, target, body)
    if rng.randrange(2):
        request.headers.append(("Prefer", "wait=0"))
    _bend(rng, request, target, body)
    return request


def _fill(world: World, rng: random.Random, target: Target) -> dict[str, Any] | None:
    """The document's example, about things that exist."""
    if target.example is None:
        return None
    body = dict(target.example)
    for name, example in target.example.items():
        value = world.find(name, rng, method=target.method)
        body[name] = example if value is None else value
    return body


def _set_body(request: HostileRequest, target: Target, body: dict[str, Any]) -> None:
    if target.media_type == FORM:
        request.set_body(urlencode(body).encode(), FORM)
    else:
        request.set_body(write_json(body).encode())


def _bend(rng: random.Random, request: HostileRequest, target: Target, body: dict[str, Any] | None) -> None:
    """One way, or two, or three; a body, an id or parameters are bent more often where there are some."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
        kinds = ["header", "path", "query"]
        kinds += ["body"] * (6 if body is not None else 1) + ["query"] * (3 if target.parameters else 0)
        kinds += ["path"] * ("{" in target.path)
        match rng.choice(kinds):
            case "header":
                rng.choice(HEADER_MUTATIONS)(rng, request)
            case "path":
                rng.choice(PATH_MUTATIONS)(rng, request)
            case "query":
                rng.choice(QUERY_MUTATIONS)(rng, request, target.parameters)
            case _ if target.media_type == FORM and rng.randrange(3):
                mutate_form(rng, request, body or {})
            case _:
                rng.choice(BODY_MUTATIONS)(rng, request, body or {})
