"""An answer before it is somebody's response: Flask's, or the express lane's."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import orjson
from flask import Response

from api.responses import JsonResponse

_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Reply:
    """JSON with its headers. A 304 keeps the body that it leaves out: headers may depend on how long that is."""

    status: int
    body: bytes
    headers: dict[str, str]


# What stands for an answer that was delivered already.
DELIVERED: Final = Reply(0, b"", {})


def json_reply(document: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """`document` as JSON."""
    return Reply(status, orjson.dumps(document), {**(headers or {}), "Content-Type": _JSON})


def as_response(reply: Reply) -> Response:
    """The reply as Flask's views give it."""
    if reply.status == HTTPStatus.NOT_MODIFIED:
        return JsonResponse(reply.body, headers=reply.headers).not_modified()
    return JsonResponse(reply.body, status=reply.status, headers=reply.headers)
