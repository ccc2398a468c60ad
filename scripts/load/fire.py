"""Sending: greenlets with a connection each, every request under its own Idempotency-Key."""

import random
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import gevent
from gevent.pool import Group

from scripts.load.arrivals import Arrivals, due_times
from scripts.load.client import Answer, Connection, Target, TransportError
from scripts.load.history import Attempt
from scripts.load.users import Users

# A request without a usable answer is repeated under its key: what any client should do, and what must be safe.
TRIES: Final = 5
_PAUSE_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to send. `tickets`: fewest and most a request. `repeat_share`: of the accepted ones, how many are
    sent once more under their key, which must change nothing.
    """

    event_id: int
    requests: int
    concurrency: int
    tickets: tuple[int, int]
    arrivals: Arrivals
    rate: float
    seed: int
    repeat_share: float
    seconds_max: float


def plan_attempts(load: Load, users: Users) -> Iterator[Attempt]:
    """The requests in the order in which they are due; users take turns."""
    chance = random.Random(load.seed)  # noqa: S311 - a load, no secret
    dues = due_times(load.arrivals, load.requests, rate=load.rate, seed=load.seed)
    for index, due in enumerate(dues):
        user = users[index % len(users)][0]
        yield Attempt(
            index=index, user=user, key=str(uuid.uuid4()), tickets=chance.randint(*load.tickets), due_at=due
        )


def fire(target: Target, load: Load, users: Users, on_answer: Callable[[Attempt], None]) -> list[Attempt]:
    """Sends the load and returns what was sent; instants are seconds after the start. Ends by itself."""
    tokens = dict(users)
    attempts = plan_attempts(load, users)
    sent: list[Attempt] = []
    connections = [Connection(target) for _ in range(min(load.concurrency, load.requests))]
    gevent.joinall([gevent.spawn(_open_quietly, connection) for connection in connections])
    sender = Sender(load, tokens, time.monotonic())

    def work(connection: Connection) -> None:
        for attempt in attempts:
            wait = attempt.due_at - sender.clock()
            if sender.clock() + max(wait, 0.0) > load.seconds_max:
                break
            if wait > 0:
                gevent.sleep(wait)
            sent.append(attempt)
            sender.send(connection, attempt)
            on_answer(attempt)
        connection.close()

    group = Group()
    for connection in connections:
        group.spawn(work, connection)
    group.join(raise_error=True)
    return sent


class Sender:
    """Sends one request until it is answered, and writes down what happened."""

    def __init__(self, load: Load, tokens: dict[str, str], started: float) -> None:
        self._load, self._tokens, self._started = load, tokens, started
        self._chance = random.Random(load.seed + 1)  # noqa: S311 - a load, no secret
        self._path = f"/api/bookings/{load.event_id}/book"

    def clock(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def send(self, connection: Connection, attempt: Attempt) -> None:
        """The request, its repetitions, and, now and then, once more after it was accepted."""
        attempt.sent_at = self.clock()
        for tries in range(TRIES):
            answer = self._post(connection, attempt)
            if answer is not None:
                attempt.status, attempt.code = answer.status, answer.code
                if answer.status == HTTPStatus.ACCEPTED or attempt.code != "accept_unknown":
                    _note(attempt, answer)
                    break
            attempt.repeats += 1
            gevent.sleep(_PAUSE_SECONDS * (tries + 1))
        attempt.answered_at = self.clock()
        if attempt.accepted and self._chance.random() < self._load.repeat_share:
            attempt.repeats += 1
            again = self._post(connection, attempt)
            attempt.error = ""  # the promise stands, whatever happens to the repetition's answer
            if again is not None and again.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                _note_job(attempt, again)
            elif again is not None and not again.code:
                attempt.error = f"{again.status} to the repetition"

    def _post(self, connection: Connection, attempt: Attempt) -> Answer | None:
        headers = {"Authorization": f"Bearer {self._tokens[attempt.user]}", "Idempotency-Key": attempt.key}
        try:
            answer = connection.request(
                "POST", self._path, headers=headers, document={"tickets": attempt.tickets}
            )
        except TransportError as error:
            attempt.error = str(error)
            return None
        attempt.error = ""
        return answer


def _note(attempt: Attempt, answer: Answer) -> None:
    if answer.status != HTTPStatus.ACCEPTED:
        return
    document = answer.json()
    arrival = document.get("arrival") if isinstance(document, dict) else None
    attempt.arrival = arrival if isinstance(arrival, int) else None
    _note_job(attempt, answer)
    if not attempt.job_ids:
        attempt.error = "202 without a job_id"


def _note_job(attempt: Attempt, answer: Answer) -> None:
    """The job that an answer names: in a 202 or a status document, or as `job` of a problem."""
    document = answer.json()
    if not isinstance(document, dict):
        return
    job = document.get("job")
    found = document.get("job_id") or (job.get("job_id") if isinstance(job, dict) else None)
    if isinstance(found, str) and found not in attempt.job_ids:
        attempt.job_ids.append(found)


def _open_quietly(connection: Connection) -> None:
    try:
        connection.open()
    except TransportError:
        return  # the first request will say so
