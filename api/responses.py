"""JSON answers."""

from collections.abc import Mapping

import orjson
from flask import Response


def json_response(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`document` as JSON."""
    response = Response(orjson.dumps(document), status=status, content_type="application/json")
    if headers:
        response.headers.update(headers)
    return response


def no_content(headers: Mapping[str, str] | None = None) -> Response:
    """204: done, nothing to tell."""
    return Response(status=204, headers=dict(headers or {}))
