"""Problem responses: which codes an operation can answer with, and what each looks like."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any, Final

from api.contract import Operation
from api.problem_members import JOB, MEMBERS
from api.problems import MEDIA_TYPE, PROBLEMS
from shared.domain.outcomes import REASONS

# Of every answer, and of every problem with that status; routes add their own.
COMMON_HEADERS: Final = ("X-Request-ID",)
LIMIT_HEADERS: Final = ("RateLimit", "RateLimit-Policy")
STATUS_HEADERS: Final[dict[int, tuple[str, ...]]] = {
    HTTPStatus.UNAUTHORIZED: ("WWW-Authenticate",),
    HTTPStatus.METHOD_NOT_ALLOWED: ("Allow",),
    HTTPStatus.TOO_MANY_REQUESTS: ("Retry-After",),
    HTTPStatus.SERVICE_UNAVAILABLE: ("Retry-After",),
}

_REQUEST_ID: Final = "0f8c1d6e5b7a4c3d9e2f1a0b8c7d6e5f"
_SHARED_CODES_MAX: Final = 4  # more are one operation's own
_DECIDED: Final = "_decided"  # ends the name of an example whose code is told as a decision


def problem_codes(
    operation: Operation, *, has_parameters: bool, is_limited: bool = True
) -> dict[int, list[str]]:
    """Status → codes: those that every such route has by its nature, and its own."""
    codes = {*operation.problems, *_common_codes(operation)}
    if has_parameters:
        codes.add("not_found")  # a parameter of the wrong form names nothing
    if is_limited:
        codes.add("rate_limited")
    found: dict[int, set[str]] = defaultdict(set)
    for code in codes:
        found[PROBLEMS[code][0]].add(code)
    if waits_for_decision(operation):
        # A reason is 409 when it is told as a decision, whatever it is at the door.
        found[HTTPStatus.CONFLICT] |= codes & REASONS.keys()
    return {status: sorted(found[status]) for status in sorted(found)}


def _common_codes(operation: Operation) -> Iterator[str]:
    yield from ("bad_request", "method_not_allowed", "internal_error")
    if operation.auth not in ("none", "console"):
        yield "unauthenticated"
    if operation.auth in ("host", "admin"):
        yield "forbidden"
    if operation.body is not None:
        yield from ("malformed_json", "payload_too_large", "unsupported_media_type")
    if operation.body is not None or operation.query is not None:
        yield "validation_failed"
    if "Idempotency-Key" in operation.request_headers:
        yield "idempotency_key_reused"
    if not operation.local:
        yield "database_unavailable"


def waits_for_decision(operation: Operation) -> bool:
    """True when it may answer with a decision of the line."""
    return "Prefer" in operation.request_headers


def problem_response(status: int, codes: list[str], headers: Iterable[str]) -> dict[str, Any]:
    """The response of a status with every code that it may carry, each with its example."""
    meanings = [f"`{code}`: {PROBLEMS[code][1]}" for code in codes]
    return {
        "description": meanings[0] if len(meanings) == 1 else "\n".join(f"- {line}" for line in meanings),
        "headers": header_references((*headers, *STATUS_HEADERS.get(status, ()))),
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "allOf": [
                        {"$ref": "#/components/schemas/Problem"},
                        {"properties": {"status": {"const": status}, "code": {"enum": codes}}},
                    ]
                },
                "examples": {
                    code: {"$ref": f"#/components/examples/{_example_name(code, status)}"} for code in codes
                },
            }
        },
    }


def header_references(names: Iterable[str]) -> dict[str, Any]:
    """A response's `headers`, each in `components`."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in dict.fromkeys(names)}


def problem_examples() -> dict[str, Any]:
    """`components.examples`: one of each code, and one of each reason as a decision tells it."""
    examples = {code: _example(code, status) for code, (status, _) in PROBLEMS.items()}
    for code in REASONS:
        if PROBLEMS[code][0] != HTTPStatus.CONFLICT:
            examples[code + _DECIDED] = _example(code, HTTPStatus.CONFLICT)
    return examples


def problem_schema() -> dict[str, Any]:
    """RFC 9457's members, ours, and every fact that some code carries."""
    facts: dict[str, Any] = {}
    for code, members in MEMBERS.items():
        for name, member in members.items():
            fact = facts.setdefault(name, {**member.schema, "description": ""})
            fact["description"] += f"{' ' if fact['description'] else ''}Of `{code}`: {member.description}"
    facts["job"] = {**JOB.schema, "description": f"Of refusals told as a decision: {JOB.description}"}
    return {
        "type": "object",
        "description": "An error (RFC 9457). `code` is stable; facts stand beside the standard members.",
        "required": ["type", "title", "status", "detail", "code", "instance", "request_id"],
        "properties": {
            "type": {
                "type": "string",
                "format": "uri-reference",
                "description": "Where the code is explained to a person.",
            },
            "title": {"type": "string", "description": "What the code means."},
            "status": {
                "type": "integer",
                "minimum": 400,
                "maximum": 599,
                "description": "The same as the answer's status.",
            },
            "detail": {"type": "string", "description": "What went wrong this time."},
            "code": {"type": "string", "enum": sorted(PROBLEMS), "description": "Which problem it is."},
            "instance": {"type": "string", "description": "The path that was asked."},
            "request_id": {"type": ["string", "null"], "description": "The same as X-Request-ID."},
            **facts,
        },
        "additionalProperties": True,
    }


def share_problems(paths: dict[str, Any]) -> dict[str, Any]:
    """`components.responses`: moves there what many operations answer with in the same words, which halves the
    document; references stay behind.
    """
    shared: dict[str, Any] = {}
    for item in paths.values():
        for operation in item.values():
            for status, response in operation["responses"].items():
                content = response.get("content", {})
                codes = sorted(content.get(MEDIA_TYPE, {}).get("examples", ()))
                if len(content) != 1 or not 1 <= len(codes) <= _SHARED_CODES_MAX:
                    continue
                limited = "" if LIMIT_HEADERS[0] in response["headers"] else ".unlimited"
                name = f"{status}.{'.'.join(codes)}{limited}"
                shared[name] = response
                operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}
    return shared


def _example_name(code: str, status: int) -> str:
    return code if PROBLEMS[code][0] == status else code + _DECIDED


def _example(code: str, status: int) -> dict[str, Any]:
    title = PROBLEMS[code][1]
    decided = {"job": JOB.example} if PROBLEMS[code][0] != status else {}
    value = {
        "type": f"/problems/{code}",
        "title": title,
        "status": int(status),
        "detail": title,
        "code": code,
        "instance": "/api/bookings/5/book",
        "request_id": _REQUEST_ID,
        **{name: member.example for name, member in MEMBERS.get(code, {}).items()},
        **decided,
    }
    return {"summary": title, "value": value}
