"""Answers that everybody gets alike, kept for a moment in this process' memory.

Only what is public: whoever may see drafts is answered from the database. An answer is as old as the moment before it
was read, and is given for `seconds` after that, or until something it tells of has changed (`api/change_stamps.py`).
Nothing is given for longer because the database is away: what nobody can check is not told.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from api.responses import ReadyAnswer
from shared.errors import UnavailableError

# A page of 100 events with long descriptions is a megabyte; most are some kilobytes.
BYTES_MAX: Final = 16 * 1024 * 1024
ENTRIES_MAX: Final = 4_096
# Who waits for somebody else's question waits no longer than a statement may take.
_FLIGHT_WAIT_SECONDS: Final = 11.0
QUERIES_MAX: Final = 4_096

Asked = TypeVar("Asked", bound=Hashable)
Loaded = TypeVar("Loaded", ReadyAnswer, ReadyAnswer | None)


@dataclass(slots=True)
class _Entry:
    answer: Any  # a ReadyAnswer; what it may be beside that is the caller's
    stamps: bytes
    read_at: float


@dataclass(slots=True, eq=False)
class _Flight:
    """A question that is being asked, and whoever waits for its answer."""

    stamps: bytes
    asked_at: float
    done: threading.Event = field(default_factory=threading.Event)
    answer: Any = None
    error: Exception | None = None


class AnswerCache:
    """At most ENTRIES_MAX answers of BYTES_MAX together; the least recently used leave. Safe in threads."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._flights: dict[Hashable, _Flight] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable, stamps: Callable[[], bytes], load: Callable[[], Loaded]) -> Loaded:
        """The answer to `key`, from memory or else from `load`; None, which is not kept, when there is none for
        everybody.

        A thousand who ask at once are one question. Who comes after a change (`stamps` says so) does not wait for
        a question from before it, nor for one that is older than an answer may be. Raises what `load` raises.
        """
        if self._seconds == 0:
            return load()
        now, current = time.monotonic(), stamps()
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and entry.stamps == current and now - entry.read_at < self._seconds:
                self._entries.move_to_end(key)
                kept: Loaded = entry.answer
                return kept
            flight = self._flights.get(key)
            if flight is not None and flight.stamps == current and now - flight.asked_at < self._seconds:
                joined = True
            else:
                joined, flight = False, _Flight(current, now)
                self._flights[key] = flight
        if not joined:
            return self._fly(key, flight, load)
        told: Loaded = _await(flight)
        return told

    def _fly(self, key: Hashable, flight: _Flight, load: Callable[[], Loaded]) -> Loaded:
        try:
            answer = flight.answer = load()
        except Exception as error:
            flight.error = error
            raise
        except BaseException:
            flight.error = UnavailableError("database_unavailable")  # this one was ended; the others were not
            raise
        finally:
            with self._lock:
                if self._flights.get(key) is flight:
                    del self._flights[key]
                    if flight.answer is not None:
                        self._keep(key, _Entry(flight.answer, flight.stamps, flight.asked_at))
            flight.done.set()
        return answer

    def _keep(self, key: Hashable, entry: _Entry) -> None:
        before = self._entries.pop(key, None)
        if before is not None:
            self._bytes -= before.answer.size
        self._entries[key] = entry
        self._bytes += entry.answer.size
        while self._bytes > BYTES_MAX or len(self._entries) > ENTRIES_MAX:
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= oldest.answer.size


class Questions:
    """What query strings mean, so that the same one is not parsed again: at most QUERIES_MAX, then none."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bytes], Any] = {}

    def parse(self, path: str, query_string: bytes, parse: Callable[[], Asked]) -> Asked:
        """What `parse` makes of the query string. Whoever writes the same question otherwise gets the same."""
        name = (path, query_string)
        known: Asked | None = self._known.get(name)
        if known is None:
            known = parse()
            if len(self._known) >= QUERIES_MAX:
                self._known.clear()
            self._known[name] = known
        return known


def _await(flight: _Flight) -> Any:  # noqa: ANN401 - see _Entry
    if not flight.done.wait(_FLIGHT_WAIT_SECONDS):
        raise UnavailableError("database_unavailable")
    if flight.error is not None:
        raise flight.error
    return flight.answer
