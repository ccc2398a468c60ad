"""A small, true trial in this process: people, an application, a line; every call written down as a trial does it."""

import contextlib
import hashlib
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import psycopg2
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import Engine, text

from api.app import create_app
from scripts.environment import libpq_url
from scripts.trials.evidence import FAULTS, TRIAL, Evidence
from scripts.trials.history import KEPT_FIELDS, Call, Trial, write_lines
from scripts.trials.invariants.chained import canonical
from scripts.trials.sources.line_keys import read_line
from scripts.trials.sources.tables import read_snapshot
from shared.db import make_engine
from shared.models import User
from shared.services.offers import expire_offers
from shared.settings import Settings
from tests.factories import auth_header, make_event, make_user, make_users
from tests.lines import LineDriver, await_that
from tests.telling import tell

SEATS: Final = 6


class Crowd:
    """People who act over HTTP, and what they noted. Nothing is decided unless the story says so."""

    def __init__(self, app: Flask, settings: Settings, engine: Engine) -> None:
        self.app, self.settings, self.engine = app, settings, engine
        self.client: FlaskClient = app.test_client()
        self.driver = LineDriver(settings, engine)
        self.calls: list[Call] = []

    def call(self, user: User, action: str, method: str, path: str, **fields: Any) -> dict[str, Any]:
        """One request, noted, and its document. `unheard`: the answer is lost on its way; `unknown`: that of the line."""
        body, unheard = fields.pop("body", None), fields.pop("unheard", False)
        unknown = fields.pop("unknown", False)
        call = Call(action=action, user_id=user.id, sent_at=time.monotonic(), **fields)
        headers = auth_header(self.app, user) | {"Prefer": "wait=0"}
        if call.key is not None:
            headers["Idempotency-Key"] = call.key
        answer = self.client.open(path, method=method, json=body, headers=headers)
        call.answered_at = time.monotonic()
        document: dict[str, Any] = answer.json or {}
        if unknown:
            call.status, call.code, call.said = 503, "accept_unknown", {"job_id": document["job_id"]}
        elif not unheard:
            _note(call, answer.status_code, document)
        self.calls.append(call)
        return document

    def book(self, user: User, event_id: int, tickets: int = 1, **fields: Any) -> str:
        """The id of the job, or nothing when the door refused or nobody heard."""
        body = {"tickets": tickets} | ({"waitlist": True} if fields.pop("waitlist", False) else {})
        path = f"/api/bookings/{event_id}/book"
        found = self.call(user, "book", "POST", path, event_id=event_id, tickets=tickets, body=body, **fields)
        return str(found.get("job_id", ""))

    def join(self, user: User, event_id: int, tickets: int = 1) -> None:
        """A place on the waitlist."""
        body = {"event_id": event_id, "tickets": tickets}
        path = "/api/waitlist/join"
        self.call(user, "join_waitlist", "POST", path, event_id=event_id, tickets=tickets, body=body)

    def leave(self, user: User, event_id: int) -> None:
        """Gives it up."""
        self.call(user, "leave_waitlist", "DELETE", f"/api/waitlist/{event_id}", event_id=event_id)

    def answer_offer(self, user: User, verb: str) -> None:
        """Takes the offer that one has, or does not."""
        (entry,) = self.call(user, "waitlist", "GET", "/api/waitlist?status=offered")["items"]
        offer = entry["offer"]["id"]
        path = f"/api/waitlist/offers/{offer}/{verb}"
        self.call(user, f"{verb}_offer", "POST", path, event_id=entry["event"]["id"], subject=offer, body={})

    def look(self, user: User, job_id: str, **fields: Any) -> dict[str, Any]:
        """How a job stands."""
        return self.call(user, "status", "GET", f"/api/bookings/status/{job_id}", subject=job_id, **fields)

    def cancel(self, user: User, booking_id: str) -> None:
        """Gives a booking back."""
        path = f"/api/bookings/{booking_id}/cancel"
        self.call(user, "cancel", "PUT", path, subject=booking_id, body={})

    def decide(self) -> None:
        """The line moves, and the door sees it."""
        self.driver.decide_all()
        self.app.extensions["guichet"].snapshots.refresh_once()

    def hasten(self) -> None:
        """From here on offers last a second."""
        self.driver.close()
        self.driver = LineDriver(replace(self.settings, offer_seconds=1), self.engine)

    def close(self) -> None:
        """Lets go."""
        self.driver.close()


def _note(call: Call, status: int, document: dict[str, Any]) -> None:
    call.status = status
    is_problem = status >= 400
    call.code = document.get("code", "") if is_problem else ""
    shown = document.get("job", document)
    kept = ("job_id",) if is_problem and shown is document else KEPT_FIELDS
    if "job_id" in shown:
        call.said = {name: shown[name] for name in kept if name in shown}
        call.booking_id = (shown.get("booking") or {}).get("id")


def live(crowd: Crowd) -> None:
    """What happens: a sale that sells out, its waitlist, an event that is called off, answers that are lost."""
    host = make_user(crowd.engine, role="host")
    sale, other, doomed, quiet = (make_event(crowd.engine, host=host, capacity=SEATS) for _ in range(4))
    people = make_users(crowd.engine, 14)
    first, second, third, fourth, fifth, sixth, seventh, eighth = people[:8]
    _sell_out(crowd, sale.id, people)
    for person in (fifth, sixth, seventh, eighth):
        crowd.join(person, sale.id, 2 if person is fifth else 1)
    crowd.decide()
    crowd.cancel(first, _booking(crowd, first))
    crowd.decide()  # two tickets for the fifth
    crowd.answer_offer(fifth, "accept")
    crowd.cancel(second, _booking(crowd, second))
    crowd.decide()  # offers for the sixth and the seventh
    crowd.answer_offer(sixth, "decline")
    crowd.decide()  # and the eighth
    crowd.leave(seventh, sale.id)
    crowd.book(eighth, sale.id, 1)
    crowd.decide()
    for person, tickets in ((third, 3), (fourth, 3), (first, 2)):
        crowd.book(person, other.id, tickets, key=_key(), waitlist=person is first)
        crowd.book(person, doomed.id, tickets, waitlist=person is first)
    crowd.decide()
    crowd.call(host, "change", "PATCH", f"/api/events/{doomed.id}", body={"status": "cancelled"})
    crowd.book(second, quiet.id, 1, unheard=True)
    crowd.book(sixth, quiet.id, 1, key=_key(), unheard=True)
    key = _key()
    crowd.book(seventh, quiet.id, 1, key=key, unknown=True)  # it stood in the line
    crowd.book(seventh, quiet.id, 1, key=key)
    key = _key()
    crowd.book(people[13], quiet.id, 1, key=key)  # it did not: the second try has a job of its own
    crowd.calls.append(_never_arrived(crowd.calls[-1]))
    crowd.decide()
    crowd.hasten()
    crowd.cancel(third, _booking(crowd, third))
    crowd.decide()
    line = crowd.app.extensions["guichet"].line
    await_that(lambda: expire_offers(crowd.engine, line), what="an offer to end")
    crowd.decide()
    for job_id, user_id in {c.said["job_id"]: c.user_id for c in crowd.calls if "job_id" in c.said}.items():
        crowd.look(next(person for person in people if person.id == user_id), job_id)
    tell(crowd.engine)


def _sell_out(crowd: Crowd, event_id: int, people: list[User]) -> None:
    first, second, third, fourth = people[:4]
    key = _key()
    job = crowd.book(first, event_id, 2, key=key)
    repeated = _key()
    crowd.book(second, event_id, 2, key=repeated, unheard=True)
    crowd.book(second, event_id, 2, key=repeated)  # what a careful client does
    leaving = crowd.book(people[9], event_id, 1)
    crowd.call(people[9], "withdraw", "DELETE", f"/api/bookings/status/{leaving}", subject=leaving)
    crowd.look(first, job)
    crowd.look(fourth, job, spied=True)
    crowd.decide()
    crowd.book(first, event_id, 2, key=key)
    crowd.book(first, event_id, 3, key=key)  # other words under the same key
    crowd.look(first, job)
    crowd.book(people[10], event_id, 4)  # more than are left
    crowd.book(third, event_id, 2)
    crowd.book(people[11], event_id, 1)
    crowd.decide()
    crowd.book(people[12], event_id, 1)  # the door knows by now
    crowd.look(third, job, spied=True)


def _booking(crowd: Crowd, user: User) -> str:
    """The person's newest live booking."""
    with crowd.engine.connect() as connection:
        found = text(
            "select id::text from bookings where user_id = :user and status = 'confirmed' order by id desc limit 1"
        )
        return str(connection.execute(found, {"user": user.id}).scalar_one())


def _never_arrived(call: Call) -> Call:
    """The try before: the line did not answer, and had not heard either."""
    instants = {"sent_at": call.sent_at - 0.02, "answered_at": call.sent_at - 0.01}
    return replace(call, status=503, code="accept_unknown", said={"job_id": str(uuid.uuid4())}, **instants)


def _key() -> str:
    return str(uuid.uuid4())


def write_trial(settings: Settings, folder: Path) -> None:
    """Lives the story on the servers of `settings` and writes down what a trial writes."""
    engine = make_engine(settings.database_url)
    app = create_app(settings)
    began = time.monotonic()
    with contextlib.closing(Crowd(app, settings, engine)) as crowd:
        live(crowd)
    now = time.monotonic()
    app.extensions["guichet"].close()
    engine.dispose()
    with (folder / "calls-1.jsonl").open("wb") as file:
        write_lines(file, crowd.calls)
    (folder / FAULTS).write_bytes(b"")
    with (folder / TRIAL).open("wb") as file:
        write_lines(file, [Trial(seed=1, began_at=began, loaded_until=now, quiet_at=now, empty_at=now + 0.1)])


class Scene:
    """The trial's servers, to plant things in. What is planted in PostgreSQL is never committed; it is done past
    triggers and foreign keys.
    """

    def __init__(self, settings: Settings, lived: Evidence) -> None:
        self.settings, self._lived = settings, lived
        self.redis: Redis = Redis.from_url(settings.redis_url)
        self._connection = psycopg2.connect(libpq_url(settings.database_url))
        self._run("set local session_replication_role = replica")

    def load(self) -> Evidence:
        """What a checker would find now."""
        return replace(
            self._lived,
            tables=read_snapshot(self._connection),
            line=read_line(self.settings.redis_url, partitions=self.settings.partitions),
        )

    def tamper(self, statement: str, **values: object) -> None:
        """Changes the database behind everybody's back."""
        assert self._run(statement, values) > 0, "nothing was planted"

    def find(self, statement: str) -> tuple[Any, ...]:
        """The first row that PostgreSQL finds."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            row: tuple[Any, ...] | None = cursor.fetchone()
        assert row is not None, statement
        return row

    def rechain(self) -> None:
        """Makes every chain whole again: what was planted in a ledger is not to be told by its hash."""
        for event_id, rows in read_snapshot(self._connection).ledgers.items():
            head = bytes(32)
            for row in rows:
                head = hashlib.sha256(head + canonical(row)).digest()
                values = {"hash": head, "job": row.job_id}
                self._run("update decisions set hash = %(hash)s where job_id = %(job)s", values)
            self._run(
                "update events set last_hash = %(hash)s where id = %(event)s",
                {"hash": head, "event": event_id},
            )

    def close(self) -> None:
        """As if nothing had been."""
        self._connection.close()
        self.redis.close()

    def _run(self, statement: str, values: dict[str, object] | None = None) -> int:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values)
            return int(cursor.rowcount)


def dump(client: Redis) -> dict[bytes, bytes]:
    """Every key with its value."""
    return {key: value for key in client.scan_iter(count=1000) if (value := client.dump(key)) is not None}


def bring_back(client: Redis, dumped: dict[bytes, bytes]) -> None:
    """Exactly these keys, none of which ends."""
    client.flushall()
    with client.pipeline() as pipe:
        for key, value in dumped.items():
            pipe.restore(key, 0, value)
        pipe.execute()
