"""The smallest application that waits while it answers, for a gunicorn under the API's own configuration."""

from collections.abc import Callable, Iterator
from threading import Event
from types import SimpleNamespace
from typing import Any

FIRST, LAST = b"the first piece", b"the last piece"


class Waiting:
    """`/wait` sends its first piece, and its last one after somebody asked for `/go`; everything else is `here`."""

    def __init__(self) -> None:
        self._may_go = Event()  # a greenlet's, after the worker has patched it
        nothing = SimpleNamespace(start=lambda: None, close=lambda: None)
        self.extensions = {
            "guichet": SimpleNamespace(start=lambda: None, access_log=nothing, figures=nothing)
        }

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        path = environ["PATH_INFO"]
        if path == "/wait":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return self._pieces()
        if path == "/go":
            self._may_go.set()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
        return iter([b"here"])

    def _pieces(self) -> Iterator[bytes]:
        yield FIRST
        self._may_go.wait(60)
        yield LAST


app = Waiting()
