"""One request on its way through a process: what it carries, and what is noted of it for its answer and the log.

Flask's `g` is one, so that a view finds it there; the express lane (api/express.py) hands its own from call to call.
"""

import re
import uuid
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final, cast

from flask.ctx import _AppCtxGlobals
from flask.globals import app_ctx

from api.access_tokens import Identity
from api.replies import Reply
from shared.ids import uuid7
from shared.logs import request_id_var

_SANE_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)


class Exchange(_AppCtxGlobals):
    """A request, from `begin` until it is answered."""

    environ: dict[str, Any]  # the server's
    path: str
    request_id: str  # the client's if it is sane; the job carries it
    started_at: float | None = None
    answer_headers: list[tuple[str, str]]  # that every answer gets
    identity: Identity | None = None  # once it is known
    job_id: uuid.UUID | None = None  # in the line, if there is one
    # Whether the line has judged this booking; None when it was not asked.
    judged: bool | None = None
    # Sends the answer, once, from wherever it is found; None where only who was asked can give it.
    deliver: Callable[[Reply], None] | None = None
    _unused_id: uuid.UUID | None = None

    def begin(self, environ: dict[str, Any], path: str) -> None:
        """Takes the request's id, or makes one."""
        self.environ, self.path, self.started_at = environ, path, perf_counter()
        request_id = environ.get("HTTP_X_REQUEST_ID", "")
        if not _SANE_REQUEST_ID.fullmatch(request_id):
            # Also of what this request puts into the line, which then need not carry both.
            self._unused_id = new_id = uuid7()
            request_id = new_id.hex
        self.request_id = request_id
        request_id_var.set(request_id)
        self.answer_headers = [("X-Request-ID", request_id)]

    def take_id(self) -> uuid.UUID:
        """An id for something new, never twice the same; the first one is the request's if that was made here."""
        unused, self._unused_id = self._unused_id, None
        return unused or uuid7()


def current_exchange() -> Exchange:
    """The one of Flask's current request."""
    return cast("Exchange", app_ctx.g)  # `g` looks for itself at every mention, half a microsecond each
