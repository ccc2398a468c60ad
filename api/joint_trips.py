"""What many ask at the same time makes one trip (docs/adr/0044-polls-share-a-look.md).

A question to Redis costs an API process more by its way there and back than by what it asks: a socket written to and
read, a greenlet put to sleep and woken. So while as many trips as may be are under way, whoever else asks stands behind
them, and all who do are the next trip. Who asks alone waits for nobody.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from shared.line.client import LineUnavailableError

# Redis accepts nobody else for so long: some milliseconds.
ASKERS_MAX: Final = 100
# Longer than two trips to a server that has fallen silent.
_WAIT_SECONDS: Final = 11.0

Asked = TypeVar("Asked")
Found = TypeVar("Found")


class _Asker(Generic[Asked, Found]):
    """Somebody with a question; `turn` is set when it has been answered, and when it is theirs to ask for all."""

    __slots__ = ("answer", "error", "has_left", "is_next", "question", "turn")

    def __init__(self, question: Asked) -> None:
        self.question = question
        self.answer: tuple[Found] | None = None
        self.error: Exception | None = None
        self.is_next = self.has_left = False
        self.turn = threading.Event()


class JointTrips(Generic[Asked, Found]):
    """At most `trips_max` trips at a time, each for at most ASKERS_MAX who ask. Safe in threads and greenlets.

    `lost` makes what they hear whose trip began and had no end: its answers may be on their way for ever.
    """

    def __init__(
        self,
        ask_all: Callable[[Sequence[Asked]], Sequence[Found]],
        *,
        lost: Callable[[], Exception],
        trips_max: int = 1,
        wait_seconds: float = _WAIT_SECONDS,
    ) -> None:
        self._ask_all, self._lost, self._wait_seconds = ask_all, lost, wait_seconds
        self._askers: list[_Asker[Asked, Found]] = []  # who is in no trip yet
        self._trips_max, self._under_way = trips_max, 0
        self._lock = threading.Lock()

    def ask(self, question: Asked) -> Found:
        """The answer, from a trip that began after the call did: the next one, or, when more than ASKERS_MAX ask,
        a later one.

        Raises what the trip raises, for everybody who was in it; LineUnavailableError when it did not come to that,
        and the question was never sent.
        """
        asker: _Asker[Asked, Found] = _Asker(question)
        with self._lock:
            self._askers.append(asker)
            if self._under_way < self._trips_max:
                self._under_way += 1
                asker.is_next = True
        try:
            if asker.is_next or asker.turn.wait(self._wait_seconds):
                if asker.is_next:
                    self._go(asker)
            else:
                self._leave(asker)
        except BaseException:
            self._leave(asker)
            raise
        if asker.answer is not None:
            return asker.answer[0]
        if asker.has_left:
            raise LineUnavailableError("Too many wait for Redis to answer.")
        raise asker.error or self._lost()

    def _go(self, first: _Asker[Asked, Found]) -> None:
        with self._lock:
            asking = self._board(first)
        try:
            answers = self._ask_all([asker.question for asker in asking])
            for asker, answer in zip(asking, answers, strict=True):
                asker.answer = (answer,)
        except Exception as error:  # noqa: BLE001 - raised by each of them
            for asker in asking:
                asker.error = error
        finally:
            with self._lock:
                self._pass_on()
            for asker in asking[1:]:
                asker.turn.set()

    def _board(self, first: _Asker[Asked, Found]) -> list[_Asker[Asked, Found]]:
        """Whose trip this is: theirs who makes it, and of those who stand here, but who makes one of their own."""
        self._askers.remove(first)
        leading = [asker for asker in self._askers if asker.is_next]
        standing = [asker for asker in self._askers if not asker.is_next]
        self._askers = [*leading, *standing[ASKERS_MAX - 1 :]]
        return [first, *standing[: ASKERS_MAX - 1]]

    def _pass_on(self) -> None:
        """Lets the first of those who came meanwhile ask; before those who have their answer begin to use it."""
        following = next((asker for asker in self._askers if not asker.is_next), None)
        if following is None:
            self._under_way -= 1
        else:
            following.is_next = True
            following.turn.set()

    def _leave(self, asker: _Asker[Asked, Found]) -> None:
        """Whoever is ended while they stand here must not be waited for."""
        with self._lock:
            if asker in self._askers:
                self._askers.remove(asker)
                asker.has_left = True
                if asker.is_next:
                    self._pass_on()
