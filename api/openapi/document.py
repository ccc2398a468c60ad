"""The OpenAPI 3.1 document: every route of the application, and nothing that is not one."""

import re
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask
from werkzeug.routing import Rule

from api.console.sessions import SESSION_COOKIE
from api.contract import find_operation
from api.openapi.fields import describe_components, make_spec
from api.openapi.headers import request_header_parameters, response_header_components
from api.openapi.links import add_links
from api.openapi.operations import address_of, make_operation, methods_of
from api.openapi.problems import problem_examples, problem_schema, share_problems
from api.openapi.tags import TAGS

INTRODUCTION: Final = """\
A ticket window for events. A booking is a request that stands in line: it is accepted with **202** and a job id, and
decided in the order of arrival. Follow it at its status address, wait for it with `Prefer: wait=N`, or listen to its
stream.

- Every error is an `application/problem+json` document (RFC 9457) with a stable `code`; `/problems/<code>` explains it.
- Bodies are strict: unknown fields, wrong types and integers outside bigint are 422. An empty body counts as `{}`.
- Whatever is somebody else's is 404, not 403.
- Every answer has `X-Request-ID`. GET addresses take HEAD too.
"""


def build_document(app: Flask, *, base_url: str) -> dict[str, Any]:
    """The whole document. Some 50 ms; callers keep it."""
    spec, plugin = make_spec(
        title="Guichet",
        version=package_version(),
        info={"description": INTRODUCTION, "license": {"name": "MIT", "identifier": "MIT"}},
        servers=[{"url": base_url or "/"}],
    )
    used_tags = _add_operations(spec, plugin, app)
    describe_components(spec, plugin)
    document: dict[str, Any] = spec.to_dict()
    tags = [name for name in TAGS if name in used_tags] + sorted(used_tags - set(TAGS))
    document["tags"] = [{"name": name, "description": TAGS.get(name, "")} for name in tags]
    add_links(document["paths"])
    components = document["components"]
    components["schemas"]["Problem"] = problem_schema()
    components["examples"] = problem_examples()
    components["headers"] = response_header_components()
    components["parameters"] = request_header_parameters()
    components["securitySchemes"] = _security_schemes()
    components["responses"] = share_problems(document["paths"])
    return document


def package_version() -> str:
    """The installed package's version."""
    try:
        return str(version("guichet"))
    except PackageNotFoundError:  # run from a checkout that nobody installed
        return "0.0.0"


def _add_operations(spec: APISpec, plugin: MarshmallowPlugin, app: Flask) -> set[str]:
    tags = set()
    for rules in _rules_by_view(app).values():
        canonical = rules[-1]  # decorators apply from the bottom: the last rule is the one that stands on top
        for rule in rules:
            view = app.view_functions[rule.endpoint]
            operation = find_operation(view)
            if operation is None:
                continue
            tags.add(operation.tag)
            for method in methods_of(rule):
                is_alias = rule is not canonical
                made = make_operation(
                    plugin,
                    rule,
                    operation,
                    operation_id=_operation_id(rule, method, is_alias=is_alias),
                    text=view.__doc__ or "",
                    alias_of=f"{methods_of(canonical)[0]} {address_of(canonical)}" if is_alias else "",
                )
                spec.path(path=address_of(rule), operations={method.lower(): made})
    return tags


def _rules_by_view(app: Flask) -> dict[str, list[Rule]]:
    found: dict[str, list[Rule]] = defaultdict(list)
    for rule in app.url_map.iter_rules():
        found[rule.endpoint].append(rule)
    return found


def _operation_id(rule: Rule, method: str, *, is_alias: bool) -> str:
    """The view's name, such as `events_show`; an alias adds its method and address."""
    name: str = rule.endpoint.replace(".", "_")
    if is_alias or len(methods_of(rule)) > 1:
        place = re.sub(r"\W+", "_", re.sub(r"{\w+}", "", address_of(rule)).removeprefix("/api")).strip("_")
        name = f"{name}_{method.lower()}_{re.sub('_+', '_', place)}"
    return name


def _security_schemes() -> dict[str, Any]:
    return {
        "bearerAuth": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The access token of a log-in. A role beside it must be the caller's, or admin.",
        },
        "refreshToken": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The refresh token of a log-in; it may stand in the body instead.",
        },
        "consoleSession": {
            "type": "apiKey",
            "in": "cookie",
            "name": SESSION_COOKIE,
            "description": "The console's session of a signed-in admin; `__Host-guichet_console` behind TLS.",
        },
    }
