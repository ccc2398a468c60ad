"""What a route promises, said beside the route: `/openapi.json` is generated from it, and from nothing else.

A route without `@describe` fails `tests/contract/test_openapi.py`. What every route has in common (request ids,
rate limits, 400, 405, 500, 503 …) is added by the generator; a route says only what is its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Final, Literal, TypeVar

from marshmallow import Schema

# Who may call: anybody; anybody, who may also say who it is; somebody signed in; or one of these roles.
Auth = Literal["none", "optional", "user", "host", "admin", "refresh_token", "console"]

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"

_View = TypeVar("_View", bound=Callable[..., object])

_ATTRIBUTE: Final = "guichet_operation"


@dataclass(frozen=True, slots=True)
class Answer:
    """One status that a route answers with. `document` is None for an answer without a body, a marshmallow
    schema of the JSON, or for other media types the name of one string.

    `headers` names those that this answer adds, from the generator's table of headers.
    """

    description: str
    document: type[Schema] | None = None
    _: KW_ONLY
    media_type: str = JSON
    headers: tuple[str, ...] = ()
    example: object = None
    also: tuple[str, ...] = ()  # further media types that Accept may ask for, each one string


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Everything that the document says about one route's method."""

    tag: str
    auth: Auth
    answers: Mapping[int, Answer]
    body: type[Schema] | None = None
    body_partial: bool = False  # PATCH: every field may be missing
    body_optional: bool = False  # no body means an empty one
    form: type[Schema] | None = None  # a browser's form instead of JSON
    query: type[Schema] | None = None
    problems: tuple[str, ...] = ()  # codes that only this route answers with
    request_headers: tuple[str, ...] = ()  # such as If-Match, Prefer, Idempotency-Key
    path: Mapping[str, str] = field(default_factory=dict)  # parameter → what it is
    local: bool = False  # this process answers alone: no database, no line


def describe(
    *,
    tag: str,
    auth: Auth,
    answers: Mapping[int, Answer],
    body: type[Schema] | None = None,
    body_partial: bool = False,
    body_optional: bool = False,
    form: type[Schema] | None = None,
    query: type[Schema] | None = None,
    problems: tuple[str, ...] = (),
    request_headers: tuple[str, ...] = (),
    path: Mapping[str, str] | None = None,
    local: bool = False,
) -> Callable[[_View], _View]:
    """Attaches the operation to a view and gives the same function back: a request pays nothing for it.

    The summary is the first line of the view's docstring.
    """
    operation = Operation(
        tag=tag,
        auth=auth,
        answers=answers,
        body=body,
        body_partial=body_partial,
        body_optional=body_optional,
        form=form,
        query=query,
        problems=problems,
        request_headers=request_headers,
        path=path or {},
        local=local,
    )

    def attach(view: _View) -> _View:
        setattr(view, _ATTRIBUTE, operation)
        return view

    return attach


def find_operation(view: Callable[..., object]) -> Operation | None:
    """What `describe` attached to the view, None when nothing did."""
    return getattr(view, _ATTRIBUTE, None)
