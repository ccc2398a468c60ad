"""What is said and counted about every request: one JSON line, and one observation for `/metrics`.

Both together cost 5 µs of an accept's 230. Lines are kept in memory and written together, every half second or
two hundred of them; a process that is killed loses the last ones.
"""

import json
import logging
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Final

import orjson

from api.exchange import Exchange
from shared.metrics.families import HTTP_REQUESTS

log = logging.getLogger(__name__)

FLUSH_SECONDS: Final = 0.5
LINES_MAX: Final = 200

# Several processes write to one pipe: what is no longer than this is never torn apart (PIPE_BUF).
_CHUNK_BYTES: Final = 4096
_PATH_CHARACTERS_MAX: Final = 500

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD: Final = "OTHER"
UNMATCHED: Final = "unmatched"  # addresses that nothing stands at are one route


class AccessLog:
    """One process' lines, on stderr. Until `start` each is written at once."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._lines: list[bytes] = []
        self._buffers = False
        self._lock = threading.Lock()  # two writers would mix their lines up
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Buffers from now on, and writes in a thread of its own (a greenlet under gevent); after the fork."""
        self._buffers = True
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread after a last write."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        self.flush()

    def finish(self, exchange: Exchange, *, route: str, status: int, job_id: object = None) -> None:
        """Counts and notes a request that is answered. `job_id` is the one in its address."""
        environ = exchange.environ
        now = perf_counter()
        seconds = now - (exchange.started_at or now)
        method = environ["REQUEST_METHOD"]
        if method not in _METHODS:
            method = OTHER_METHOD
        HTTP_REQUESTS.observe((method, route, str(status)), seconds)
        if not self._enabled:
            return
        line: dict[str, Any] = {
            "at": datetime.now(UTC),
            "level": "info",
            "logger": "access",
            "message": "request",
            "request_id": exchange.request_id,
            "method": method,
            "route": route,
            # Never the query string: it may carry a stream token.
            "path": exchange.path[:_PATH_CHARACTERS_MAX],
            "status": status,
            "duration_ms": round(seconds * 1000, 3),
            "address": environ.get("REMOTE_ADDR"),
        }
        if exchange.identity is not None:
            line["user_id"] = exchange.identity.user_id
        if (job_id := exchange.job_id or job_id) is not None:
            line["job_id"] = job_id
        self._lines.append(_to_json(line))
        if not self._buffers or len(self._lines) >= LINES_MAX:
            self.flush()

    def flush(self) -> None:
        """Writes what is buffered. A stderr that nobody reads any more loses it."""
        with self._lock:
            lines, self._lines = self._lines, []
            try:
                for chunk in _chunks(lines):
                    sys.stderr.buffer.write(chunk)
                    sys.stderr.buffer.flush()
            except (OSError, ValueError):
                return

    def _run(self) -> None:
        while not self._stopping.wait(FLUSH_SECONDS):
            self.flush()


def _to_json(line: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(line, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # lone surrogates: rare, and never a lost line
        return json.dumps(line, default=str).encode() + b"\n"


def _chunks(lines: Sequence[bytes]) -> list[bytes]:
    """Lines put together as long as a pipe takes them in one piece."""
    chunks = [b""]
    for line in lines:
        if len(chunks[-1]) + len(line) > _CHUNK_BYTES:
            chunks.append(b"")
        chunks[-1] += line
    return chunks
