"""The document as this process serves it: built when it is first asked for, then kept."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from flask import Flask

from api.container import get_container
from api.problems import MEDIA_TYPE, PROBLEMS

_EXTENSION: Final = "guichet-openapi"


@dataclass(frozen=True, slots=True)
class UsedBy:
    """An operation that a problem code can come from."""

    method: str
    path: str
    summary: str


@dataclass(frozen=True, slots=True)
class Published:
    """The document's bytes, their ETag, and which operations answer with which problem code."""

    body: bytes
    etag: str
    operations_by_code: Mapping[str, tuple[UsedBy, ...]]


def published_document(app: Flask) -> Published:
    """The document of `app`. Two threads that ask first may both build it; they build the same."""
    found: Published | None = app.extensions.get(_EXTENSION)
    if found is None:
        from api.openapi.document import build_document  # noqa: PLC0415 - apispec, for the few who ask

        document = build_document(app, base_url=get_container().settings.base_url)
        body = orjson.dumps(document)
        found = Published(
            body=body,
            etag=hashlib.sha256(body).hexdigest()[:16],
            operations_by_code=_operations_by_code(document),
        )
        app.extensions[_EXTENSION] = found
    return found


def codes_of(document: Mapping[str, Any], operation: Mapping[str, Any]) -> set[str]:
    """Every problem code that an operation of the document can answer with."""
    found: set[str] = set()
    for response in operation["responses"].values():
        if "$ref" in response:
            response = document["components"]["responses"][response["$ref"].rpartition("/")[2]]  # noqa: PLW2901
        content = response.get("content", {}).get(MEDIA_TYPE)
        if content is not None:
            found |= set(content["examples"])
    return found


def _operations_by_code(document: Mapping[str, Any]) -> dict[str, tuple[UsedBy, ...]]:
    found: dict[str, list[UsedBy]] = {code: [] for code in PROBLEMS}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for code in codes_of(document, operation):
                found[code].append(UsedBy(method.upper(), path, operation["summary"]))
    return {code: tuple(uses) for code, uses in found.items()}
