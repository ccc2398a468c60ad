"""One person's share of a trial: a greenlet with two connections, users of its own, and a memory of their jobs."""

import random
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import gevent

from scripts.load.client import Connection, Target
from scripts.trials.history import Call
from scripts.trials.people.caller import make_call

# Below a few seconds an outage would be told from a hung client only by luck; the longest wait asked for is 5 s.
TIMEOUT_SECONDS: Final = 15.0
_REMEMBERED: Final = 60
_TRIES: Final = 8
_TICKETS_MAX: Final = 4
_SUCCESS_BELOW: Final = 300

# How often a person does what. Most of an on-sale is booking; the rest is there to meet it.
HABITS: Final = {
    "book": 1500,
    "book_twice_at_once": 15,
    "repeat": 50,
    "repeat_otherwise": 5,
    "look": 70,
    "spy": 15,
    "withdraw": 30,
    "cancel": 45,
    "join": 30,
    "leave": 10,
    "answer_offer": 30,
    "read": 15,
}


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked under a key, so that it can be asked again in the same words."""

    user: tuple[int, str]
    key: str | None
    event_id: int
    tickets: int
    waitlist: bool


@dataclass(slots=True)
class World:
    """What all people of a process share: the events on sale, some job ids of anybody, and where calls are noted."""

    target: Target
    note: Callable[[Call], None]
    events: list[int] = field(default_factory=list)
    jobs: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=500))  # user, job
    is_over: bool = False


class Person:
    """Acts without a pause until the world is over; every call is noted. Not for two greenlets at once."""

    def __init__(self, world: World, users: list[tuple[int, str]], chance: random.Random) -> None:
        self._world, self._users, self._chance = world, users, chance
        self._turn = 0
        self._connection = Connection(world.target, timeout_seconds=TIMEOUT_SECONDS)
        self._second = Connection(world.target, timeout_seconds=TIMEOUT_SECONDS)
        self._requests: deque[Request] = deque(maxlen=_REMEMBERED)
        self._jobs: deque[tuple[tuple[int, str], str]] = deque(maxlen=_REMEMBERED)
        self._bookings: deque[tuple[tuple[int, str], str]] = deque(maxlen=_REMEMBERED)
        self._waiting: deque[tuple[tuple[int, str], int]] = deque(maxlen=_REMEMBERED)

    def live(self) -> None:
        """Everything once, so that the shortest trial has seen it, and then whatever the habits say."""
        habits, weights = list(HABITS), list(HABITS.values())
        first = iter(habits)
        while not self._world.is_over:
            habit = next(first, None) or self._chance.choices(habits, weights)[0]
            action: Callable[[], None] = getattr(self, f"_{habit}")
            action()
        self._connection.close()
        self._second.close()

    def _book(self) -> None:
        request = Request(
            user=self._next_user(),
            key=str(uuid.UUID(int=self._chance.getrandbits(128))) if self._chance.random() < 0.85 else None,
            event_id=self._chance.choice(self._world.events),
            tickets=self._chance.randint(1, _TICKETS_MAX),
            waitlist=self._chance.random() < 0.1,
        )
        self._requests.append(request)
        self._send_until_answered(request, prefer="wait=5" if self._chance.random() < 0.02 else "")

    def _book_twice_at_once(self) -> None:
        """A double click: the same words under the same key on two connections at once."""
        self._requests.append(
            request := Request(
                user=self._next_user(),
                key=str(uuid.UUID(int=self._chance.getrandbits(128))),
                event_id=self._chance.choice(self._world.events),
                tickets=self._chance.randint(1, _TICKETS_MAX),
                waitlist=False,
            )
        )
        gevent.joinall(
            [
                gevent.spawn(self._send, connection, request)
                for connection in (self._connection, self._second)
            ],
            raise_error=True,
        )

    def _repeat(self) -> None:
        keyed = [request for request in self._requests if request.key is not None]
        if keyed:
            self._send(self._connection, self._chance.choice(keyed))

    def _repeat_otherwise(self) -> None:
        """The same key with another payload: must be refused."""
        keyed = [request for request in self._requests if request.key is not None]
        if keyed:
            found = self._chance.choice(keyed)
            changed = Request(
                found.user, found.key, found.event_id, found.tickets % _TICKETS_MAX + 1, found.waitlist
            )
            self._send(self._connection, changed)

    def _look(self) -> None:
        if self._jobs:
            user, job_id = self._chance.choice(self._jobs)
            self._status(user, job_id)

    def _spy(self) -> None:
        """Asks for somebody else's job."""
        if self._world.jobs:
            owner, job_id = self._chance.choice(self._world.jobs)
            user = self._next_user()
            if user[0] != owner:
                self._status(user, job_id, spied=True)

    def _withdraw(self) -> None:
        if self._jobs:
            user, job_id = self._jobs[-1]
            call = Call(action="withdraw", user_id=user[0], sent_at=0.0, subject=job_id)
            self._do(call, "DELETE", f"/api/bookings/status/{job_id}", user)

    def _cancel(self) -> None:
        if not self._bookings:
            return self._find_booking()
        user, booking_id = self._bookings.popleft()
        call = Call(action="cancel", user_id=user[0], sent_at=0.0, subject=booking_id, key=self._maybe_key())
        self._do(call, "PUT", f"/api/bookings/{booking_id}/cancel", user, document={}, prefer="wait=0")
        return None

    def _find_booking(self) -> None:
        """Learns by the status of an earlier job whether there is a booking to cancel."""
        if self._jobs:
            user, job_id = self._chance.choice(self._jobs)
            self._status(user, job_id)

    def _join(self) -> None:
        user, event_id = self._next_user(), self._chance.choice(self._world.events)
        tickets = self._chance.randint(1, _TICKETS_MAX)
        call = Call(
            action="join_waitlist",
            user_id=user[0],
            sent_at=0.0,
            event_id=event_id,
            tickets=tickets,
            key=self._maybe_key(),
        )
        body = {"event_id": event_id, "tickets": tickets}
        self._do(call, "POST", "/api/waitlist/join", user, document=body, prefer="wait=0")
        self._waiting.append((user, event_id))

    def _leave(self) -> None:
        if self._waiting:
            user, event_id = self._waiting.popleft()
            call = Call(action="leave_waitlist", user_id=user[0], sent_at=0.0, event_id=event_id)
            self._do(call, "DELETE", f"/api/waitlist/{event_id}", user, prefer="wait=0")

    def _answer_offer(self) -> None:
        """Reads whether one of those who wait has an offer, and answers it: mostly yes."""
        if not self._waiting:
            return
        user, _event_id = self._chance.choice(self._waiting)
        call = Call(action="waitlist", user_id=user[0], sent_at=0.0)
        document = self._do(call, "GET", "/api/waitlist?status=offered", user)
        for item in document.get("items", []):
            verb = "accept" if self._chance.random() < 0.7 else "decline"
            answer = Call(
                action=f"{verb}_offer",
                user_id=user[0],
                sent_at=0.0,
                event_id=item["event"]["id"],
                subject=item["offer"]["id"],
            )
            path = f"/api/waitlist/offers/{item['offer']['id']}/{verb}"
            self._do(answer, "POST", path, user, document={}, prefer="wait=0")

    def _read(self) -> None:
        user, event_id = self._next_user(), self._chance.choice(self._world.events)
        path = self._chance.choice(
            (
                f"/api/events/{event_id}",
                f"/api/events/{event_id}/decisions/head",
                "/api/bookings/requests",
                "/api/notifications",
            )
        )
        self._do(Call(action="read", user_id=user[0], sent_at=0.0), "GET", path, user)

    def _status(self, user: tuple[int, str], job_id: str, *, spied: bool = False) -> None:
        call = Call(action="status", user_id=user[0], sent_at=0.0, subject=job_id, spied=spied)
        self._do(call, "GET", f"/api/bookings/status/{job_id}", user)

    def _send_until_answered(self, request: Request, *, prefer: str = "") -> None:
        """What any careful client does: the same words under the same key until it knows. Without a key, once."""
        for tries in range(_TRIES):
            call = self._send(self._connection, request, prefer=prefer)
            known = call.status not in (0, HTTPStatus.SERVICE_UNAVAILABLE)
            if known or request.key is None or self._world.is_over:
                return
            gevent.sleep(self._chance.uniform(0.05, 0.3) * (tries + 1))

    def _send(self, connection: Connection, request: Request, *, prefer: str = "") -> Call:
        call = Call(
            action="book",
            user_id=request.user[0],
            sent_at=0.0,
            event_id=request.event_id,
            tickets=request.tickets,
            key=request.key,
        )
        body: dict[str, Any] = {"tickets": request.tickets}
        if request.waitlist:
            body["waitlist"] = True
        path = f"/api/bookings/{request.event_id}/book"
        self._do(call, "POST", path, request.user, connection=connection, document=body, prefer=prefer)
        return call

    def _do(
        self,
        call: Call,
        method: str,
        path: str,
        user: tuple[int, str],
        *,
        connection: Connection | None = None,
        document: object = None,
        prefer: str = "",
    ) -> dict[str, Any]:
        found = make_call(
            connection or self._connection,
            call,
            method,
            path,
            token=user[1],
            document=document,
            prefer=prefer,
        )
        self._world.note(call)
        self._learn(call, user)
        if call.status in (0, HTTPStatus.SERVICE_UNAVAILABLE):
            gevent.sleep(
                self._chance.uniform(0.02, 0.2)
            )  # a crowd that hammers a dead server measures nothing
        return found

    def _learn(self, call: Call, user: tuple[int, str]) -> None:
        job_id = call.said.get("job_id")
        if call.spied or job_id is None:
            return
        if call.status < _SUCCESS_BELOW and call.action == "book":
            self._jobs.append((user, job_id))
            self._world.jobs.append((user[0], job_id))
        if call.booking_id is not None and call.said.get("status") == "confirmed" and call.action != "cancel":
            self._bookings.append((user, call.booking_id))

    def _next_user(self) -> tuple[int, str]:
        self._turn += 1
        return self._users[self._turn % len(self._users)]

    def _maybe_key(self) -> str | None:
        return str(uuid.UUID(int=self._chance.getrandbits(128))) if self._chance.random() < 0.5 else None
