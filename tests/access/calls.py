"""One row of the table, called: by somebody, about something."""

import re
from collections.abc import Mapping
from typing import Any, Final

from werkzeug.test import TestResponse

from tests.access.callers import KNOWN, Who
from tests.access.table import Row
from tests.access.things import Thing
from tests.access.world import World

# What belongs to one exchange, and to no thing.
_OF_THE_EXCHANGE: Final = {
    "Content-Length",
    "Date",
    "X-Request-ID",
    "RateLimit",
    "RateLimit-Policy",
    "Set-Cookie",
}


def path_of(rule: str, values: Mapping[str, Any]) -> str:
    """The address of a thing."""
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: str(values[found[1]]), rule)


def fill_in(world: World, body: Mapping[str, Any] | None, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """The body with the thing's values in it."""
    if body is None:
        return None
    made = dict(body)
    for name, value in body.items():
        match value:
            case "{fresh_email}":
                made[name] = world.fresh_email()
            case str() if value.startswith("{"):
                made[name] = values[value.strip("{}")]
    return made


def call(
    world: World,
    row: Row,
    who: Who,
    thing: Thing,
    values: Mapping[str, Any],
    *,
    method: str = "",
    extra: Mapping[str, Any] | None = None,
    afresh: bool = True,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> TestResponse:
    """What `who` is answered about `values`, with another method or more in body and headers if that is given.

    A call about oneself is made by somebody new each time, unless not `afresh`.
    """
    body = (row.owners_body if who is Who.OWNER else None) or row.body
    user = thing.owner if who is Who.OWNER else None
    if row.of == "oneself" and who in KNOWN and afresh:
        user = world.person(who)  # who may be gone afterwards
    path, body = path_of(row.rule, values), fill_in(world, body, values)
    if extra is not None:
        body = {**(body or {}), **extra}
    return world.ask(who, method or row.method, path, body=body, user=user, more=headers, query=query)


def essence(answer: TestResponse) -> tuple[int, list[tuple[str, str]], Any]:
    """An answer without what names the exchange and the address."""
    headers = sorted((name, value) for name, value in answer.headers if name not in _OF_THE_EXCHANGE)
    body = answer.get_json(silent=True)
    if isinstance(body, dict):
        body = {name: value for name, value in body.items() if name not in ("request_id", "instance")}
    return answer.status_code, headers, body if body is not None else answer.get_data()
