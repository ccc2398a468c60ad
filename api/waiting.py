"""Waiting for decisions: one subscription a process and one reader, for any number of requests that wait.

"Decided" messages are lossy. Whoever waits stands in the hub first, then is looked up, and again every few seconds: a
lost message costs seconds, never an answer. Who waits does not look for itself: the reader asks for many at once, so a
batch of decisions costs a round trip or three and not one for each that is told, and a crowd that waits takes one
connection of the line's and not all of them.
"""

import logging
import threading
import time
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from api.waiter import Deliver, Look, Waiter
from shared.db import waiting as patience
from shared.errors import GuichetError, UnavailableError
from shared.line.keys import DECIDED_CHANNEL
from shared.line.messages import read_message
from shared.line.status import Question, Subjects

log = logging.getLogger(__name__)

REREAD_SECONDS: Final = 5.0
RECONNECT_SECONDS: Final = 1.0
# How often the reader looks who has not been looked up for too long: a tenth of a millisecond for a thousand of them.
TURN_SECONDS: Final = 0.25
# A database that says nothing keeps the reader from all the others, whose decisions Redis may know. A statement of a
# look takes milliseconds.
SILENT_SECONDS: Final = 2.0
# In one script, which keeps Redis from accepting for so long: two milliseconds.
LOOKS_AT_ONCE: Final = 100
# Telling somebody takes a twentieth of a millisecond or more, and what they do when they are woken a tenth; and gevent
# looks at its sockets only after fifty who were woken: who books meanwhile waits for that three times over. So after
# this many the reader gives way.
AT_ONCE: Final = 20
# Not zero, for which gevent would not look at its sockets; and over when it has: whoever really sleeps waits for a
# core, in a moment in which all are wanted.
GIVE_WAY_SECONDS: Final = 1e-9
# Whoever has been told needs nothing more; their connection is worth something again when everybody is told, or so
# long after in a process that always has somebody to tell; longer only while a server does not answer the reader.
HELD_SECONDS: Final = 0.25


class DecisionHub:
    """Tells who waits for a job when a worker says that it is decided, and looks them up now and then."""

    def __init__(
        self,
        redis: "Redis",
        look_up: Callable[[Sequence[Question]], Sequence[Look]],
        find_revoked: Callable[[Sequence[Subjects]], Sequence[int]],
    ) -> None:
        self._redis, self._look_up, self._find_revoked = redis, look_up, find_revoked
        self._waiters: dict[bytes, set[Waiter]] = {}
        # Whom a message can tell; new ones, and those for whom it is a reason to look; those whose time has come.
        self._named: OrderedDict[Waiter, None] = OrderedDict()
        self._due: OrderedDict[Waiter, None] = OrderedDict()
        self._late: OrderedDict[Waiter, None] = OrderedDict()
        self._lock = threading.Lock()
        self._turn = threading.Event()
        self._scans_at = 0.0
        # Who was told and still has to finish, and since when.
        self._told: deque[tuple[Waiter, float]] = deque()
        self._busy = 0  # told or woken since the reader gave way
        self._started = False
        self._closed = False

    def waiter(
        self,
        job_id: uuid.UUID,
        subjects: Subjects | None,
        *,
        every: float | None = None,
        place: int | None = None,
        deliver: Deliver | None = None,
    ) -> Waiter:
        """Somebody who waits, for the length of a `with`: looked up at once, when a message names the job, and
        `every` so many seconds. `subjects` are checked for revocation before anything is told; None for who needs no
        token. Who gives the `place` that they know is told of others, too; who gives `deliver`, by that.
        """
        every = REREAD_SECONDS if every is None else every
        return Waiter(self, (job_id, subjects), every=every, place=place, deliver=deliver)

    def join(self, waiter: Waiter) -> None:
        """Lets somebody wait; the first look is due."""
        with self._lock:
            self._waiters.setdefault(waiter.job_id, set()).add(waiter)
            self._due[waiter] = None
            self._start()
        self._turn.set()

    def leave(self, waiter: Waiter) -> None:
        """Forgets somebody."""
        with self._lock:
            self._forget_turn(waiter)
            waiting = self._waiters[waiter.job_id]
            waiting.discard(waiter)
            if not waiting:
                del self._waiters[waiter.job_id]

    def _forget_turn(self, waiter: Waiter) -> None:
        for queue in (self._named, self._due, self._late):
            queue.pop(waiter, None)

    def start(self) -> None:
        """Subscribes now instead of with the first waiter."""
        with self._lock:
            self._start()

    def close(self) -> None:
        """Stops listening and looking."""
        self._closed = True
        self._turn.set()

    def look_once(self) -> None:
        """Tells or looks up everybody whose turn it is: a round trip or two for each LOOKS_AT_ONCE of them. After every
        AT_ONCE for whom there is news it gives way to whatever else this process has to do.
        """
        while (due := self._take_due(time.monotonic())) or self._told:
            decided = self._read_messages(due)
            self._tell(decided)
            others = [waiter for waiter in due if waiter not in decided]
            if others:
                with patience(SILENT_SECONDS):
                    looks = self._look_up([waiter.question for waiter in others])
                self._tell(dict(zip(others, looks, strict=True)))
            self._wake_told()

    def _tell(self, looks: Mapping[Waiter, Look]) -> None:
        now = time.monotonic()
        for waiter, look in looks.items():
            if waiter.tell(look):
                if waiter.is_told:
                    self._told.append((waiter, now))
                self._give_way()

    def _wake_told(self) -> None:
        """Those who were told, until there is word of somebody else: then only who was told long ago."""
        while self._told and (not self._named or self._told[0][1] <= time.monotonic() - HELD_SECONDS):
            self._told.popleft()[0].wake()
            self._give_way()

    def _give_way(self) -> None:
        self._busy += 1
        if self._busy == AT_ONCE:
            self._busy = 0
            time.sleep(GIVE_WAY_SECONDS)

    def _read_messages(self, due: Sequence[Waiter]) -> dict[Waiter, Look]:
        """The decisions that messages have brought, for whom the token still counts; and for nobody when that cannot be
        known: a look finds what can be told all the same.
        """
        looks: dict[Waiter, Look] = {
            waiter: decided for waiter in due if (decided := waiter.take_message()) is not None
        }
        asked = [(waiter, subjects) for waiter in looks if (subjects := waiter.question[1]) is not None]
        try:
            revoked = self._find_revoked([subjects for _, subjects in asked]) if asked else ()
        except UnavailableError:
            return {}
        for place in revoked:
            looks[asked[place][0]] = GuichetError("unauthenticated")
        return looks

    def _take_due(self, now: float) -> list[Waiter]:
        """The next to be looked up: those of whom there is word come before those whose time has come."""
        due: list[Waiter] = []
        with self._lock:
            if now >= self._scans_at:
                self._scans_at = now + TURN_SECONDS
                for waiting in self._waiters.values():
                    self._late.update((waiter, None) for waiter in waiting if waiter.looks_at <= now)
            queue = self._named or self._due or self._late
            while queue and len(due) < LOOKS_AT_ONCE:
                waiter = next(iter(queue))
                self._forget_turn(waiter)
                waiter.looks_at = now + waiter.every
                due.append(waiter)
        return due

    def _start(self) -> None:
        if self._started or self._closed:
            return
        self._started = True
        for name, run in (("decision-hub", self._listen_forever), ("status-reader", self._look_forever)):
            threading.Thread(target=run, name=name, daemon=True).start()

    def _look_forever(self) -> None:
        while not self._closed:
            self._turn.wait(TURN_SECONDS)
            self._turn.clear()
            try:
                self.look_once()
            except Exception:  # nothing in here may end the thread; whoever was due is, again, in a while
                log.exception("the status reader could not look")

    def _listen_forever(self) -> None:
        while not self._closed:
            try:
                self._listen()
            except (RedisError, OSError) as error:
                log.warning("decision hub: subscribing again", extra={"error": type(error).__name__})
                self._wake_all()
                time.sleep(RECONNECT_SECONDS)

    def _listen(self) -> None:
        with self._redis.pubsub() as pubsub:
            pubsub.subscribe(DECIDED_CHANNEL)
            while not self._closed:
                message = pubsub.get_message(timeout=1.0)
                if message is None:
                    continue
                if message["type"] == "message":
                    self._wake(read_message(message["data"]))
                else:
                    self._wake_all()  # subscribed now: who was looked up before that is looked up again

    def _wake(self, results: Mapping[bytes, bytes]) -> None:
        with self._lock:
            for job_id in [job_id for job_id in results if job_id in self._waiters]:
                for waiter in self._waiters[job_id]:
                    waiter.message = results[job_id]
                    queue = self._named if waiter.is_known else self._due
                    queue[waiter] = None
        self._turn.set()

    def _wake_all(self) -> None:
        with self._lock:
            for waiting in self._waiters.values():
                self._due.update(dict.fromkeys(waiting))
        self._turn.set()
