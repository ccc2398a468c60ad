"""Requests that keep flowing while a test crashes something, and the promises that are checked afterwards."""

import contextlib
import hashlib
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from redis import Redis
from sqlalchemy import Engine, text

from scripts.audit import run_audit
from shared.db import transaction
from shared.domain.partitions import partition_of
from shared.domain.permissions import Actor
from shared.errors import UnavailableError
from shared.ids import uuid7
from shared.line.accept import Accepted, Answer, NewRequest, Replayed
from shared.line.client import make_redis
from shared.line.inspect import count_undecided
from shared.models import User
from shared.services import control_requests, events
from shared.services.line import LineClient
from shared.services.line_gate import LineGate
from shared.settings import Settings
from tests.factories import make_event, make_user, make_users
from tests.lines import LineDriver, await_that


def unlimited(settings: Settings) -> Settings:
    """The same settings without what would keep a few users from asking very often."""
    return replace(
        settings, booking_rate_per_second=100_000.0, booking_rate_burst=100_000, user_undecided_max=100_000
    )


class Desk:
    """Asks as the API does once the door is open, and reads what became of it.

    `events` lie in one partition, `elsewhere` in another.
    """

    def __init__(self, settings: Settings, engine: Engine, *, people: int = 8) -> None:
        self.settings, self.engine = unlimited(settings), engine
        self.redis: Redis = make_redis(settings.redis_url, socket_timeout=settings.redis_timeout_seconds)
        self.line = LineClient(self.settings, self.redis, LineGate(self.settings, engine, self.redis))
        self.users = [user.id for user in make_users(engine, people)]
        self.accepted: list[tuple[int, Accepted]] = []  # (event id, answer), in the order of acceptance
        self.host: User | None = None

    def close(self) -> None:
        """Closes the connections."""
        self.redis.close()

    def open_events(self, count: int = 1, *, partition: int = 3, **fields: Any) -> list[int]:
        """Events on sale whose requests stand in line `partition`."""
        host = self.host = self.host or make_user(self.engine, role="host")
        return [
            make_event(self.engine, host=host, **fields).id for _ in range(count) if self._skip_to(partition)
        ]

    def _skip_to(self, partition: int) -> int:
        """The next event's id, which is of that partition."""
        ((last,),) = self.query("select nextval('events_id_seq')")
        following = range(last + 1, last + 1 + self.settings.partitions)
        event_id = next(id_ for id_ in following if partition_of(id_, self.settings.partitions) == partition)
        self.query("select setval('events_id_seq', :id, false)", id=event_id)
        return event_id

    def send(self, event_id: int, kind: str = "book", user_id: int | None = None, **fields: Any) -> Answer:
        """One request into the line; what was accepted is remembered."""
        given: dict[str, Any] = {"tickets": 1} if kind == "book" else {}
        request = NewRequest(
            job_id=fields.pop("job_id", None) or uuid7(),
            kind=kind,  # type: ignore[arg-type]
            event_id=event_id,
            user_id=user_id if user_id is not None else self.users[0],
            subjects=("family:crash", f"user:{user_id}"),
            **(given | fields),
        )
        answer = self.line.accept(request)
        if isinstance(answer, Accepted):
            self.accepted.append((event_id, answer))
        return answer

    def book(self, event_id: int, user_id: int | None = None, **fields: Any) -> Accepted:
        """A booking that must be accepted."""
        answer = self.send(event_id, "book", user_id, **fields)
        assert isinstance(answer, Accepted), answer
        return answer

    def book_each(self, event_id: int, users: Sequence[int] | None = None) -> list[Accepted]:
        """One ticket for everybody, in this order."""
        return [self.book(event_id, user) for user in users or self.users]

    def withdraw(self, job_id: uuid.UUID) -> None:
        """The mark of somebody who leaves the line."""
        assert self.line.withdraw(job_id) == "marked"

    def call_off(self, event_id: int, *, put: bool = True) -> uuid.UUID:
        """Its host calls the event off; the job id, which stands in the line at once when `put`."""
        return self.change(event_id, put=put, status="cancelled")

    def change(self, event_id: int, *, put: bool = True, **values: Any) -> uuid.UUID:
        """Its host changes the event, and a request follows from it: its job id, in the line at once when `put`."""
        (row,) = self.query("select host_id from events where id = :id", id=event_id)
        with transaction(self.engine) as session:
            (job_id,) = events.change_event(
                session,
                actor=Actor(row.host_id, "host"),
                event_id=event_id,
                values=values,
                whole=False,
                versions=None,
                request_id=None,
            )
        if put:
            assert control_requests.put_into_line(self.engine, self.line, [job_id]) == 1
        return job_id

    def query(self, statement: str, **parameters: Any) -> list[Any]:
        """Rows of the database."""
        with self.engine.connect() as connection:
            return list(connection.execute(text(statement), parameters))

    def execute(self, statement: str, **parameters: Any) -> None:
        """Changes the database."""
        with self.engine.begin() as connection:
            connection.execute(text(statement), parameters)

    def outcomes(self, event_id: int) -> list[tuple[int, str, str | None]]:
        """(arrival, outcome, reason) of what stood in the event's line, by ledger number."""
        return [
            (row.arrival, row.outcome, row.reason)
            for row in self.query(
                "select arrival, outcome, reason from decisions where event_id = :event and arrival is not null "
                "order by number",
                event=event_id,
            )
        ]

    def count_decided(self) -> int:
        """Requests of the line that the ledger has."""
        return int(self.query("select count(*) from decisions where arrival is not null")[0][0])

    def await_decisions(self, more: int, *, seconds: float = 120.0) -> None:
        """Until the ledger has more than `more` further ones."""
        wanted = self.count_decided() + more
        await_that(lambda: self.count_decided() > wanted, seconds=seconds, what="decisions")

    def count_undecided(self) -> int:
        """Requests that wait or are in flight."""
        return sum(count_undecided(self.line.runner, range(self.settings.partitions)).values())

    def await_empty(self, *, seconds: float = 120.0) -> None:
        """Until nobody waits and nothing is in flight."""
        await_that(lambda: self.count_undecided() == 0, seconds=seconds, what="an empty line")

    def assert_kept(self, *, failed: Sequence[uuid.UUID] = ()) -> None:
        """Every accepted request has exactly one decision, with the arrival it was told, in that order; none
        failed but those named; the audit finds nothing, and nothing is left in Redis.
        """
        rows = self.query(
            "select job_id, event_id, arrival, outcome from decisions where arrival is not null"
        )
        decided = {row.job_id: (row.event_id, row.arrival) for row in rows}
        told = {answer.job_id: (event_id, answer.arrival) for event_id, answer in self.accepted}
        assert len(decided) == len(rows)
        assert {job: decided.get(job) for job in told} == told
        assert {row.job_id for row in rows if row.outcome == "failed"} == set(failed)
        self.assert_audit_clean()
        assert self.count_undecided() == 0

    def arrivals(self, event_id: int) -> list[int]:
        """Arrivals of what stood in the event's line, by ledger number."""
        return [arrival for arrival, _, _ in self.outcomes(event_id)]

    def assert_audit_clean(self) -> None:
        """`guichet audit` finds nothing."""
        tally = run_audit(self.settings)
        assert tally.ok, tally.findings[:5]
        assert "decided, reply under way" not in tally.notes
        assert "in flight" not in tally.notes


@contextlib.contextmanager
def opened_desk(settings: Settings, engine: Engine, *, people: int = 8) -> Iterator[Desk]:
    """A desk, closed with the block."""
    desk = Desk(settings, engine, people=people)
    try:
        yield desk
    finally:
        desk.close()


def recover(settings: Settings, engine: Engine) -> int:
    """A worker that is well claims everything, decides everything and lets go; how many it decided."""
    driver = LineDriver(settings, engine, "recoverer")
    try:

        def claims_all() -> bool:
            driver.claim()
            return len(driver.session.held) == settings.partitions

        await_that(claims_all, what="every partition to be free")
        decided = driver.decide_all()
        for partition in list(driver.session.held):
            driver.session.give_away(partition)
        return decided
    finally:
        driver.close()


@dataclass
class Flow:
    """Threads that ask for tickets without a pause, each with a key of its own per request."""

    desk: Desk
    events: Sequence[int]
    threads: int = 2
    pause_seconds: float = 0.002
    accepted: dict[uuid.UUID, tuple[int, int]] = field(default_factory=dict)  # job → (event, arrival)
    unknown: list[NewRequest] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # codes of declared 503s
    surprises: list[BaseException | Answer] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Flow":
        self._running = [threading.Thread(target=self._ask, args=(n,)) for n in range(self.threads)]
        for thread in self._running:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._running:
            thread.join()

    def await_more(self, count: int = 50, *, seconds: float = 120.0) -> None:
        """Until `count` further requests are accepted."""
        before = len(self.accepted)
        await_that(
            lambda: len(self.accepted) >= before + count, seconds=seconds, what="requests being accepted"
        )

    def repeat_unknown(self) -> None:
        """Clients repeat with the same key what they know nothing of: each gets one job, whichever it is."""
        for request in self.unknown:
            answer = self.desk.line.accept(replace(request, job_id=uuid7()))
            if isinstance(answer, Accepted):
                self.accepted[answer.job_id] = (request.event_id, answer.arrival)
            else:
                assert answer == Replayed(request.job_id)

    def _ask(self, number: int) -> None:
        turn = number
        while not self._stop.is_set():
            turn += self.threads
            digest = hashlib.sha256(f"{id(self)}:{turn}".encode()).hexdigest()
            request = NewRequest(
                job_id=uuid7(),
                kind="book",
                event_id=self.events[turn % len(self.events)],
                user_id=self.desk.users[turn % len(self.desk.users)],
                subjects=("family:flow", "user:flow"),
                tickets=1 + turn % 3,
                key_hash=digest,
                fingerprint=digest,
            )
            self._send(request)
            time.sleep(self.pause_seconds)

    def _send(self, request: NewRequest) -> None:
        try:
            answer = self.desk.line.accept(request)
        except UnavailableError as error:
            self.refused.append(error.code)
            if error.code == "accept_unknown":
                self.unknown.append(request)
        except Exception as error:  # the test looks at them
            self.surprises.append(error)
        else:
            if isinstance(answer, Accepted):
                self.accepted[answer.job_id] = (request.event_id, answer.arrival)
            elif answer == Replayed(request.job_id):
                self.unknown.append(request)  # its first answer was lost, the second said: it is in
            else:
                self.surprises.append(answer)

    def assert_kept(self) -> None:
        """Everything that was answered 202 is decided, exactly once, at its arrival; the rest was declared."""
        assert self.surprises == []
        assert set(self.refused) <= {"line_unavailable", "accept_unknown"}
        rows = self.desk.query("select job_id, event_id, arrival, outcome from decisions where kind = 'book'")
        decided = {row.job_id: (row.event_id, row.arrival) for row in rows}
        told = self.accepted | {
            answer.job_id: (event, answer.arrival) for event, answer in self.desk.accepted
        }
        assert {job: decided.get(job) for job in told} == told
        assert len(decided) == len(set(decided.values())) == len(rows)
        assert not [row for row in rows if row.outcome == "failed"]
        unexplained = set(decided) - set(told) - {request.job_id for request in self.unknown}
        assert not unexplained
        self.desk.assert_audit_clean()
