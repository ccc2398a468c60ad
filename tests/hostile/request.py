"""One request as bytes, and how a WSGI server hands it to the application: gunicorn, without the socket."""

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from flask import Flask

SHOWN_BYTES = 600


@dataclass
class HostileRequest:
    """What is sent. `path` and `query` stand as in the request line; `length` is Content-Length, None without one."""

    method: str
    path: bytes
    query: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    length: str | None = None
    chunked: bool = False
    operation_id: str = ""
    notes: list[str] = field(default_factory=list)

    def set_body(self, body: bytes, media_type: str | None = "application/json") -> None:
        """The body, with its true length and this type."""
        self.body, self.length = body, str(len(body))
        self.remove("Content-Type")
        if media_type is not None:
            self.headers.append(("Content-Type", media_type))

    def set(self, name: str, value: str) -> None:
        """The only header of that name."""
        self.remove(name)
        self.headers.append((name, value))

    def remove(self, name: str) -> None:
        """No header of that name."""
        self.headers = [pair for pair in self.headers if pair[0].lower() != name.lower()]

    def environ(self) -> dict[str, Any]:
        """As gunicorn makes it: the path decoded, headers of one name joined, bytes as latin-1."""
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(self.path).decode("latin-1"),
            "QUERY_STRING": self.query.decode("latin-1"),
            "RAW_URI": self.path.decode("latin-1"),
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(self.body),
            "wsgi.input_terminated": True,
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        for name, value in self.headers:
            key = name.upper().replace("-", "_")
            key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        environ.setdefault("HTTP_HOST", "localhost")
        if self.chunked:
            environ["HTTP_TRANSFER_ENCODING"] = "chunked"
        elif self.length is not None:
            environ["CONTENT_LENGTH"] = self.length
        return environ

    def describe(self) -> str:
        """Enough of it to see what was sent."""
        target = self.path + (b"?" + self.query if self.query else b"")
        heads = [f"{name}: {value[:200]!r}" for name, value in self.headers if name != "Authorization"]
        length = "chunked" if self.chunked else f"length {self.length}"
        return "\n".join(
            [
                f"{self.method[:40]} {target[:SHOWN_BYTES]!r} ({', '.join(self.notes)})",
                *heads[:20],
                f"{length}, {len(self.body)} bytes: {self.body[:SHOWN_BYTES]!r}",
            ]
        )


@dataclass
class HostileAnswer:
    """What came back: status, headers as given, body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def get(self, name: str) -> str | None:
        """The first header of that name."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


def send(app: Flask, request: HostileRequest) -> HostileAnswer:
    """The application's answer, in this thread."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], _exc_info: object = None
    ) -> Callable[[bytes], object]:
        started.append((status, headers))
        return lambda _data: None

    chunks: Iterable[bytes] = app(request.environ(), start_response)
    try:
        body = b"".join(chunks)
    finally:
        if hasattr(chunks, "close"):
            chunks.close()
    status, headers = started[-1]
    return HostileAnswer(int(status[:3]), headers, body)
