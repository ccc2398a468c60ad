"""Somebody who waits for a decision: what is known of it, and how they are told."""

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from shared.errors import GuichetError, NotFoundError
from shared.line.messages import read_result
from shared.line.status import Question
from shared.services.requests import RequestStatus

log = logging.getLogger(__name__)

Look = RequestStatus | GuichetError | None

# Sends the news to the client, and says whether it did; otherwise who waits has to. Must not wait for anything.
Deliver = Callable[[RequestStatus], bool]


class Hub(Protocol):
    """Where one waits: see api/waiting.py."""

    def join(self, waiter: "Waiter") -> None:
        """Lets somebody wait."""

    def leave(self, waiter: "Waiter") -> None:
        """Forgets somebody."""


class Waiter:
    """Somebody who waits for one job's decision, and whether they want to hear of a new place too. In the hub for the
    length of a `with`.

    With `deliver` the reader itself sends what it finds, and whoever waits only has to finish what they were doing: a
    crowd is told before the first of them goes on (docs/adr/0053-told-first.md).
    """

    __slots__ = (
        "_deliver",
        "_hub",
        "_known",
        "_look",
        "_news",
        "_place",
        "_wants_places",
        "every",
        "is_told",
        "job_id",
        "looks_at",
        "message",
        "question",
    )

    def __init__(
        self, hub: Hub, question: Question, *, every: float, place: int | None, deliver: Deliver | None = None
    ) -> None:
        self._hub, self.question, self.every, self.looks_at = hub, question, every, 0.0
        self._deliver = deliver
        self.is_told = False  # the decision was delivered
        self.job_id = str(question[0]).encode()  # as messages name it
        self.message: bytes | None = None  # the result that one has named
        self._wants_places, self._place = place is not None, place
        self._known: RequestStatus | None = None
        self._look: Look = None
        self._news = threading.Lock()  # held while there is none: cheaper to wait for than an event
        self._news.acquire()

    def __enter__(self) -> "Waiter":
        self._hub.join(self)
        return self

    def __exit__(self, *_error: object) -> None:
        # Whoever has left answers for themselves, though the reader may have found something for them.
        self._deliver = None
        self._hub.leave(self)

    def wait(self, seconds: float) -> RequestStatus | None:
        """What the reader has found since the last call: the decision, or a place that is new; None after `seconds`
        without any, or when the decision `is_told`. Raises GuichetError when it met one: `job_not_found`,
        `unauthenticated`, unavailable.
        """
        if not self._news.acquire(timeout=seconds) or self.is_told:
            return None
        if isinstance(self._look, GuichetError):
            raise self._look
        return self._look

    @property
    def is_known(self) -> bool:
        """Whether a message can tell them."""
        return self._known is not None

    def take_message(self) -> RequestStatus | None:
        """The decision as a message has told it, once; None when none has, or too little is known to understand it."""
        message, self.message = self.message, None
        if not message or self._known is None:
            return None
        try:
            return self._known.decided(read_result(message))
        except (ValueError, LookupError, TypeError):
            return None  # whoever has published that

    def tell(self, look: Look) -> bool:
        """Delivers what the reader has found, or leaves it to who waits and wakes them; says whether it was news. For
        the reader alone, who wakes them later where `is_told`.
        """
        if self.is_told:
            return False  # by another message, or a look: who was told stands in the hub until they go on
        if isinstance(look, RequestStatus) and not look.is_decided:
            self._known = look
            if not self._wants_places or look.position == self._place:
                return False
            self._place = look.position
        if isinstance(look, RequestStatus) and (deliver := self._deliver) is not None:
            # First: they may look at it as soon as something is waited for.
            self.is_told = look.is_decided
            if self._try(deliver, look):
                return True
            self.is_told = False
        self._look = NotFoundError("job_not_found") if look is None else look
        self.wake()
        return True

    def wake(self) -> None:
        """Lets who waits go on."""
        if self._news.locked():
            self._news.release()

    def _try(self, deliver: Deliver, status: RequestStatus) -> bool:
        try:
            return deliver(status)
        except Exception:  # of one client; the reader has thousands
            log.exception("news could not be delivered", extra={"job_id": str(status.job_id)})
            return False
