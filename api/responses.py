"""JSON answers."""

import gzip
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import orjson
from flask import Response
from werkzeug.datastructures import Headers

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


# Of every answer that is about one person.
NO_STORE: Final = {"Cache-Control": "no-store"}

OF_A_BODY: Final = frozenset({"Content-Type", "Content-Length", "Content-Encoding"})
_GZIP_LEVEL: Final = 6
_OVERHEAD_BYTES: Final = 1_000


class JsonResponse(Response):
    """JSON whose headers are complete as they stand: its length is set, its Location is an ASCII path.

    Werkzeug would copy and mend them for every answer: 9 % of what accepting a booking costs. `body_bytes` is how long
    the body is, or would be, uncompressed.
    """

    def __init__(self, body: bytes, *, status: int = 200, headers: Mapping[str, str]) -> None:
        super().__init__(body, status=status, headers=headers)
        self.body_bytes = len(body)

    def get_wsgi_headers(self, environ: "WSGIEnvironment") -> Headers:  # noqa: ARG002 - werkzeug's signature
        """The headers themselves; those of a 304 without what speaks of a body."""
        if self.status_code != 304:
            return self.headers
        return Headers([(name, value) for name, value in self.headers if name not in OF_A_BODY])

    def not_modified(self) -> Response:
        """Becomes a 304 without a body."""
        self.response, self.status_code = [], 304
        return self

    def gzipped(self) -> bytes:
        """The body, compressed."""
        return compressed(self.get_data())


class ReadyAnswer:
    """A JSON body with its ETag, ready to be given again and again."""

    __slots__ = ("_gzipped", "body", "etag", "headers", "size")

    def __init__(self, body: bytes, etag: str, headers: Mapping[str, str] | None = None) -> None:
        self.body, self.etag, self.headers = body, etag, dict(headers or {})
        self.size = len(body) + _OVERHEAD_BYTES  # what it takes in memory, compressed text and all, roughly
        self._gzipped: bytes | None = None

    def gzipped(self) -> bytes:
        """The body, compressed once."""
        if self._gzipped is None:
            self._gzipped = compressed(self.body)
        return self._gzipped


class AnswerResponse(JsonResponse):
    """The response that gives a ReadyAnswer."""

    def __init__(self, answer: ReadyAnswer, headers: Mapping[str, str], status: int = 200) -> None:
        super().__init__(
            answer.body,
            status=status,
            headers={
                **answer.headers,
                **headers,
                "ETag": f'"{answer.etag}"',
                "Content-Type": "application/json",
            },
        )
        self._answer = answer

    def gzipped(self) -> bytes:
        """The body, compressed once for all who are given it."""
        return self._answer.gzipped()


def json_response(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`document` as JSON."""
    return JsonResponse(
        orjson.dumps(document), status=status, headers={**(headers or {}), "Content-Type": "application/json"}
    )


def compressed(body: bytes) -> bytes:
    """`body` as gzip has it, the same for the same body."""
    return gzip.compress(body, _GZIP_LEVEL, mtime=0)
