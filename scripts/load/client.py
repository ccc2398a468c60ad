"""A lean HTTP/1.1 client on gevent sockets: one keep-alive connection, one request at a time.

A general client costs more CPU a request than the server under test; this one costs some 60 µs.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import gevent.socket
import gevent.ssl
import orjson

_HEAD_BYTES_MAX: Final = 64 * 1024
_BODY_BYTES_MAX: Final = 16 * 1024 * 1024
_READ_BYTES: Final = 64 * 1024
_BODILESS: Final = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class TransportError(Exception):
    """No usable answer came. Whether the request arrived is not known."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go: the parts of a base URL."""

    host: str
    port: int
    tls: bool
    prefix: str

    @property
    def authority(self) -> str:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def parse_target(base_url: str) -> Target:
    """The target of an http(s) URL; raises ValueError on anything else."""
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{base_url!r} is not an http(s) address")
    tls = parts.scheme == "https"
    return Target(parts.hostname, parts.port or (443 if tls else 80), tls, parts.path.rstrip("/"))


@dataclass(slots=True)
class Answer:
    """A response; header names are lower-case."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:  # noqa: ANN401 - JSON
        """The body as JSON; None when it is not."""
        try:
            return orjson.loads(self.body)
        except ValueError:
            return None

    @property
    def code(self) -> str:
        """A problem's code; empty when this is no problem document."""
        document = self.json() if "problem+json" in self.headers.get("content-type", "") else None
        return str(document.get("code", "")) if isinstance(document, dict) else ""


class Connection:
    """One connection, opened when needed and again after an error. Not for two greenlets at once."""

    def __init__(self, target: Target, *, timeout_seconds: float = 30.0) -> None:
        self.target, self._timeout = target, timeout_seconds
        self._socket: Any = None
        self._buffer = b""

    def open(self) -> None:
        """Connects, unless connected; raises TransportError."""
        if self._socket is not None:
            return
        target = self.target
        try:
            raw = gevent.socket.create_connection((target.host, target.port), timeout=self._timeout)
            raw.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
            if target.tls:
                raw = gevent.ssl.create_default_context().wrap_socket(raw, server_hostname=target.host)
        except OSError as error:
            raise TransportError(str(error)) from error
        self._socket, self._buffer = raw, b""

    def close(self) -> None:
        """Ends the connection; the next request opens another."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
        self._socket = None

    def request(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, document: object = None
    ) -> Answer:
        """Sends one request, never twice, and reads its answer. Raises TransportError."""
        body = b"" if document is None else orjson.dumps(document)
        lines = [f"{method} {self.target.prefix}{path} HTTP/1.1", f"Host: {self.target.authority}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if document is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        message = "\r\n".join([*lines, "", ""]).encode() + body
        self.open()
        try:
            self._socket.sendall(message)
            answer = self._read_answer()
        except (OSError, ValueError, LookupError) as error:
            self.close()
            raise TransportError(f"{type(error).__name__}: {error}") from error
        except BaseException:
            self.close()  # a half-read answer must never be another request's
            raise
        if answer.headers.get("connection", "").lower() == "close":
            self.close()
        return answer

    def _read_answer(self) -> Answer:
        while True:
            head = self._read_until(b"\r\n\r\n", _HEAD_BYTES_MAX).decode("latin-1").split("\r\n")
            answer = Answer(int(head[0].split(" ", 2)[1]))
            for line in head[1:]:
                name, _, value = line.partition(":")
                answer.headers[name.strip().lower()] = value.strip()
            if answer.status >= HTTPStatus.OK:
                break
        if answer.status in _BODILESS:
            return answer
        if answer.headers.get("transfer-encoding", "").lower() == "chunked":
            answer.body = self._read_chunks()
        else:
            answer.body = self._read_bytes(int(answer.headers["content-length"]))
        return answer

    def _read_chunks(self) -> bytes:
        body = b""
        while size := int(self._read_until(b"\r\n", _HEAD_BYTES_MAX).split(b";")[0], 16):
            body += self._read_bytes(size)
            self._read_until(b"\r\n", _HEAD_BYTES_MAX)
            if len(body) > _BODY_BYTES_MAX:
                raise ValueError("the body is too long")
        while self._read_until(b"\r\n", _HEAD_BYTES_MAX):
            pass
        return body

    def _read_until(self, end: bytes, maximum: int) -> bytes:
        while (index := self._buffer.find(end)) < 0:
            if len(self._buffer) > maximum:
                raise ValueError("the head is too long")
            self._fill()
        found, self._buffer = self._buffer[:index], self._buffer[index + len(end) :]
        return found

    def _read_bytes(self, count: int) -> bytes:
        if not 0 <= count <= _BODY_BYTES_MAX:
            raise ValueError("the body is too long")
        while len(self._buffer) < count:
            self._fill()
        found, self._buffer = self._buffer[:count], self._buffer[count:]
        return found

    def _fill(self) -> None:
        received = self._socket.recv(_READ_BYTES)
        if not received:
            raise ConnectionError("the server closed the connection")
        self._buffer += received
