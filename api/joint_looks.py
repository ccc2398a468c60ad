"""What many ask at the same time is asked for all of them at once (docs/adr/0044-polls-share-a-look.md).

A question to Redis costs an API process more by its way there and back than by what it asks: a command is packed, a
socket written to, a greenlet put to sleep and woken. So while one look is under way, whoever else asks stands behind
it, and all of them together are the next look. Who asks alone waits for nobody.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from shared.errors import UnavailableError

# In one script, which keeps Redis from accepting for so long: two milliseconds.
LOOKS_AT_ONCE: Final = 100
# Longer than two looks at a server that has fallen silent.
_WAIT_SECONDS: Final = 11.0

Asked = TypeVar("Asked")
Found = TypeVar("Found")


class _Asker(Generic[Asked, Found]):
    """Somebody with a question; `turn` is set when it has been answered, and when it is theirs to ask for all."""

    __slots__ = ("answer", "error", "is_next", "question", "turn")

    def __init__(self, question: Asked) -> None:
        self.question = question
        self.answer: tuple[Found] | None = None
        self.error: Exception | None = None
        self.is_next = False
        self.turn = threading.Event()


class JointLooks(Generic[Asked, Found]):
    """One look at a time, for at most LOOKS_AT_ONCE who ask. Safe in threads and greenlets."""

    def __init__(self, look_up: Callable[[Sequence[Asked]], Sequence[Found]]) -> None:
        self._look_up = look_up
        self._askers: list[_Asker[Asked, Found]] = []  # the first of them makes the next look
        self._is_looking = False
        self._lock = threading.Lock()

    def ask(self, question: Asked) -> Found:
        """The answer, from a look that began after the call did: the next one, or, when more than LOOKS_AT_ONCE ask,
        a later one. Raises what the look raises, for everybody who was in it.
        """
        asker: _Asker[Asked, Found] = _Asker(question)
        with self._lock:
            self._askers.append(asker)
            asker.is_next, self._is_looking = not self._is_looking, True
        try:
            if asker.is_next or asker.turn.wait(_WAIT_SECONDS):
                if asker.is_next:
                    self._look()
            else:
                self._leave(asker)
        except BaseException:
            self._leave(asker)
            raise
        if asker.answer is None:
            # It takes too long, or whoever asked for everybody was ended in the middle of it: nothing is known.
            raise asker.error or UnavailableError("line_unavailable")
        return asker.answer[0]

    def _look(self) -> None:
        with self._lock:
            asking, self._askers = self._askers[:LOOKS_AT_ONCE], self._askers[LOOKS_AT_ONCE:]
        try:
            answers = self._look_up([asker.question for asker in asking])
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

    def _pass_on(self) -> None:
        """Lets the first of those who came meanwhile ask; before those who have their answer begin to use it."""
        if self._askers:
            self._askers[0].is_next = True
            self._askers[0].turn.set()
        else:
            self._is_looking = False

    def _leave(self, asker: _Asker[Asked, Found]) -> None:
        """Whoever is ended while they stand here must not be waited for."""
        with self._lock:
            if asker in self._askers:
                self._askers.remove(asker)
                if asker.is_next:
                    self._pass_on()
