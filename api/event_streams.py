"""A request followed by server-sent events: what is told, when, and by whom.

Whoever follows waits in a greenlet of their own, and says what they find. Where the server lets it, the reader of the
hub says it for them (docs/adr/0053-told-first.md), between two pieces of theirs.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import orjson
from flask import Response

from api.container import Container
from api.gunicorn_answers import OFFERS
from api.line_responses import read_document
from api.responses import NO_STORE
from api.waiter import Waiter
from shared.errors import GuichetError, UnavailableError
from shared.services.requests import RequestStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

STREAM_SECONDS_MAX: Final = 600
POSITION_SECONDS: Final = 2.0  # how often a stream looks whether its place has changed
# Proxies close what is silent for half a minute or more; and a write is how a client that has gone is noticed.
HEARTBEAT_SECONDS: Final = 10.0
STILL_WAITING: Final = b": still waiting\n\n"
NO_ANSWER: Final = b": the line does not answer\n\n"
DECIDED: Final = "decided"


class StatusEvents:
    """The text of one stream. An id that the client has seen is not sent again; a comment keeps proxies awake.

    `subjects` are checked for revocation at each look; None for who came by a stream token.
    """

    def __init__(
        self, container: Container, status: RequestStatus, subjects: tuple[str, str] | None, last_seen: str
    ) -> None:
        self._container, self._status, self._subjects = container, status, subjects
        self._last_seen = last_seen
        self._offer: Callable[[bytes], object] | None = None
        self._rests = False  # nothing of a piece is on its way

    def offer_by(self, offer: "Callable[[bytes], object]") -> None:
        """Lets others send events while who iterates rests."""
        self._offer = offer

    def __iter__(self) -> Iterator[bytes]:
        """Events and comments, until the decision is told, the time is over, or the token is revoked."""
        ends_at = time.monotonic() + STREAM_SECONDS_MAX
        status, place = self._status, self._status.position
        comment = STILL_WAITING if _event_id(status) == self._last_seen else b""
        with self._container.hub.waiter(
            status.job_id, self._subjects, every=POSITION_SECONDS, place=place, deliver=self._deliver
        ) as waiter:
            while True:
                if piece := self._take_event() or comment:
                    yield piece
                if self._status.is_decided or time.monotonic() >= ends_at:
                    return
                try:
                    found = self._rest(waiter)
                    comment = STILL_WAITING if found is None else b""
                    self._status = found or self._status
                except UnavailableError:
                    comment = NO_ANSWER
                except GuichetError:
                    return  # revoked: the client may come back with another token
                if waiter.is_told:
                    return

    def _rest(self, waiter: Waiter) -> RequestStatus | None:
        self._rests = True
        try:
            return waiter.wait(HEARTBEAT_SECONDS)
        finally:
            self._rests = False

    def _deliver(self, status: RequestStatus) -> bool:
        is_known = self._container.snapshots.is_known(status.event_id)
        if self._offer is None or not self._rests or not is_known:
            return False
        self._status = status
        with suppress(OSError):  # the client has gone, as the next comment will find
            self._offer(self._take_event())
        return True

    def _take_event(self) -> bytes:
        """The event of the status, empty when the client has seen it."""
        status, event_id = self._status, _event_id(self._status)
        if event_id == self._last_seen:
            return b""
        self._last_seen = event_id
        document = read_document(self._container, status, stream_link=self._subjects is not None)
        kind = "position"
        if status.is_decided:
            kind = DECIDED
            self._container.stamps.event_decided(status.event_id)
        return f"id: {event_id}\nevent: {kind}\ndata: ".encode() + orjson.dumps(document) + b"\n\n"


class EventsResponse(Response):
    """The stream as an answer."""

    def __init__(self, events: StatusEvents) -> None:
        headers = {**NO_STORE, "X-Accel-Buffering": "no"}
        super().__init__(iter(events), content_type="text/event-stream", headers=headers)
        self._events = events

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """The answer, as WSGI wants it."""
        body, status, headers = self.get_wsgi_response(environ)
        write = start_response(status, headers)
        if OFFERS in environ:
            self._events.offer_by(write)
        return body


def _event_id(status: RequestStatus) -> str:
    """What `Last-Event-ID` will say of it."""
    return DECIDED if status.is_decided else f"position-{status.position}"
