"""What gunicorn refuses before the application sees it, as problem documents too.

A request line or a header that is too long or none at all, another protocol, another transfer coding: gunicorn
answers these with a page of HTML and has no setting for it. `tests/integration/test_odd_requests.py` asks a real
one, and fails when a new version writes its errors elsewhere.
"""

import socket
import sys
import uuid
from http import HTTPStatus
from typing import Final

import gunicorn.util
import orjson
from gevent import GreenletExit

from api.problems import MEDIA_TYPE, PROBLEMS
from api.security_headers import ALWAYS, BEHIND_TLS

_CODES: Final = {HTTPStatus.INTERNAL_SERVER_ERROR: "internal_error"}


def install(base_url: str) -> None:
    """Makes this process' gunicorn write problems; `base_url` as the application has it."""

    def write(client: socket.socket, status: int, reason: str, _message: str) -> None:
        if isinstance(sys.exc_info()[1], GreenletExit):
            # A process that stops ends its idle connections by this; a 500 there would be read as the answer to
            # whatever the client sends next.
            return
        # What gunicorn has to say repeats what was sent; the reason is enough.
        gunicorn.util.write_nonblock(client, _answer(base_url, status, reason))

    gunicorn.util.write_error = write


def _answer(base_url: str, status: int, reason: str) -> bytes:
    code = _CODES.get(HTTPStatus(status), "bad_request")
    request_id = uuid.uuid4().hex
    body = orjson.dumps(
        {
            "type": f"{base_url}/problems/{code}",
            "title": PROBLEMS[code][1],
            "status": status,
            "detail": f"{reason}.",
            "code": code,
            "request_id": request_id,
        }
    )
    headers = (
        ("Content-Type", MEDIA_TYPE),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Connection", "close"),
        ("X-Request-ID", request_id),
        *ALWAYS,
        # Whether this client came by TLS is not known: a proxy's header was not read.
        *((BEHIND_TLS,) if base_url.startswith("https://") else ()),
    )
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
