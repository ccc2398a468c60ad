"""One route's method → one operation of the document."""

import re
from collections.abc import Iterator
from typing import Any, Final

from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema
from werkzeug.routing import Rule

from api.contract import FORM, JSON, Answer, Auth, Operation
from api.openapi.examples import example_input, example_of
from api.openapi.fields import paragraph
from api.openapi.problems import (
    COMMON_HEADERS,
    LIMIT_HEADERS,
    header_references,
    problem_codes,
    problem_response,
    waits_for_decision,
)
from api.rate_limits import UNLIMITED
from shared.ids import BIGINT_MAX

_PLACEHOLDER: Final = re.compile(r"<(?:(\w+)(?:\([^)]*\))?:)?(\w+)>")

_PATH_SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "int": {"type": "integer", "minimum": 0, "maximum": BIGINT_MAX},
    "uuid": {"type": "string", "format": "uuid"},
    "string": {"type": "string", "minLength": 1, "pattern": "^[^/]+$"},
    "path": {"type": "string", "minLength": 1},
    "task_id": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,128}$"},
}

# By name, else by kind.
_PATH_EXAMPLES: Final[dict[str, Any]] = {
    "int": 5,
    "uuid": "01a1fa38-2c56-79d1-a69f-e87985a90e56",
    "reference": "PS84-3KCK",
    "code": "sold_out",
}

# What people look at: a problem is a page for whoever asks for HTML.
_PAGES: Final = "console."
_HTML: Final = "text/html"

SECURITY: Final[dict[Auth, list[dict[str, list[str]]]]] = {
    "none": [],
    "optional": [{}, {"bearerAuth": []}],
    "user": [{"bearerAuth": []}],
    "host": [{"bearerAuth": ["host"]}],
    "admin": [{"bearerAuth": ["admin"]}],
    "refresh_token": [{}, {"refreshToken": []}],
    "console": [{"consoleSession": []}],
}

_WHO: Final[dict[Auth, str]] = {"host": "For hosts and admins.", "admin": "For admins."}


def address_of(rule: Rule) -> str:
    """The rule as OpenAPI spells it: `/api/events/{event_id}`."""
    return _PLACEHOLDER.sub(r"{\2}", rule.rule)


def methods_of(rule: Rule) -> list[str]:
    """The methods that somebody wrote a view for: Flask adds HEAD and OPTIONS itself."""
    return sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})


def make_operation(
    plugin: MarshmallowPlugin,
    rule: Rule,
    operation: Operation,
    *,
    operation_id: str,
    text: str,
    alias_of: str,
) -> dict[str, Any]:
    """The operation; `text` is the view's docstring, `alias_of` the address that stands for the same view."""
    whole = " ".join(text.split())
    notes = [whole, _WHO.get(operation.auth, ""), f"The same as `{alias_of}`." if alias_of else ""]
    document: dict[str, Any] = {
        "operationId": operation_id,
        "summary": summary_of(text),
        "description": " ".join(filter(None, notes)),
        "tags": [operation.tag],
        "security": SECURITY[operation.auth],
        "parameters": list(_parameters(plugin, rule, operation)),
        "responses": _responses(rule, operation),
    }
    if operation.body is not None:
        document["requestBody"] = _request_body(operation, operation.body)
    elif operation.form is not None:
        form = operation.form()
        content = {FORM: {"schema": form, "example": example_input(form)}}
        document["requestBody"] = {"required": True, "content": content}
    return document


def summary_of(text: str) -> str:
    """The first clause of a docstring."""
    return re.split(r"[.;:](?:\s|$)", paragraph(text), maxsplit=1)[0]


def _parameters(
    plugin: MarshmallowPlugin, rule: Rule, operation: Operation
) -> Iterator[dict[str, Any] | str]:
    for kind, name in _PLACEHOLDER.findall(rule.rule):
        kind = kind or "string"  # noqa: PLW2901 - what werkzeug means by none
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": operation.path.get(name, ""),
            "schema": _PATH_SCHEMAS[kind],
            "example": _PATH_EXAMPLES.get(name, _PATH_EXAMPLES.get(kind, name)),
        }
    if operation.query is not None and plugin.converter is not None:
        for name, field in operation.query().fields.items():
            schema = plugin.converter.field2property(field)
            description = schema.pop("description", "")
            yield {
                "name": field.data_key or name,
                "in": "query",
                "required": field.required,
                "description": description,
                "schema": schema,
            }
    yield from _request_headers(operation)  # apispec makes references of names


def _request_headers(operation: Operation) -> list[str]:
    names = [*operation.request_headers]
    if "Idempotency-Key" in names:
        names.append("X-Idempotency-Key")
    if 304 in operation.answers:
        names.append("If-None-Match")
    return list(dict.fromkeys([*names, "X-Request-ID"]))


def _request_body(operation: Operation, body: type[Schema]) -> dict[str, Any]:
    schema = body(partial=True) if operation.body_partial else body()
    needed = not operation.body_optional and any(
        field.required and not operation.body_partial for field in schema.fields.values()
    )
    return {"required": needed, "content": {JSON: {"schema": schema, "example": example_input(schema)}}}


def _responses(rule: Rule, operation: Operation) -> dict[str, Any]:
    # What goes through the line is limited there, everything else at the door.
    is_limited = rule.endpoint not in UNLIMITED or waits_for_decision(operation)
    headers = (*COMMON_HEADERS, *LIMIT_HEADERS) if is_limited else COMMON_HEADERS
    responses = {status: _answer(answer, headers) for status, answer in operation.answers.items()}
    problems = problem_codes(operation, has_parameters=bool(rule.arguments), is_limited=is_limited)
    for status, codes in problems.items():
        problem = problem_response(status, codes, headers)
        if rule.endpoint.startswith(_PAGES):
            problem["content"][_HTML] = _text_content(None)
        if status in responses:  # a document of the route's own, and a problem
            found = responses[status]
            found["headers"] |= problem["headers"]
            found.setdefault("content", {}).update(problem["content"])
            found["description"] += f"\n\n{problem['description']}"
        else:
            responses[status] = problem
    return {str(status): responses[status] for status in sorted(responses)}


def _answer(answer: Answer, headers: tuple[str, ...]) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": answer.description,
        "headers": header_references((*headers, *answer.headers)),
    }
    content: dict[str, Any] = {}
    if answer.document is not None:
        schema = answer.document()
        example = example_of(schema) if answer.example is None else answer.example
        content[answer.media_type] = {"schema": schema, "example": example}
    elif answer.media_type != JSON:
        content[answer.media_type] = _text_content(answer.example)
    content.update({media_type: _text_content(None) for media_type in answer.also})
    return {**response, "content": content} if content else response


def _text_content(example: object) -> dict[str, Any]:
    return {"schema": {"type": "string"}} | ({} if example is None else {"example": example})
