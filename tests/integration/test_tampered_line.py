"""Whatever somebody does to a job in Redis, the line goes on; whatever the size of a batch, the ledger is the same."""

import random
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import psycopg2
import pytest
from redis import Redis
from sqlalchemy import text

from scripts.audit import run_audit
from shared.db import make_engine, transaction
from shared.domain.requests import JOB_FUNCTION
from shared.ids import derived_uuid
from shared.line import accept, keys
from shared.line.accept import NewRequest
from shared.line.doors import OPEN_DOOR
from tests.accepting import book, cancel
from tests.conftest import connect_redis
from tests.factories import auth_header, make_event, make_user, make_users
from tests.lines import LineDriver, await_that, worker_process


def data(event_id: int, user_id: int, **fields: Any) -> bytes:
    payload = {"v": 1, "kind": "cancel", "event_id": event_id, "user_id": user_id, **fields}
    return orjson.dumps([JOB_FUNCTION, None, [], payload])


# What is done to a waiting job: (its hash, its event, its user) → fields to set.
TAMPERED: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "accepted in no year": lambda *_: {"enqueued_at": "yesterday"},
    "accepted before all time": lambda *_: {"enqueued_at": "0001-01-01T00:00:00+14:00"},
    "accepted in the year 1": lambda *_: {"enqueued_at": "0001-01-01T00:00:00.000000Z"},
    "accepted in the year 9999": lambda *_: {"enqueued_at": "9999-12-31T23:59:59.999999Z"},
    "no number": lambda *_: {"arrival": "x"},
    "a number that is far too high": lambda *_: {"arrival": "9" * 30},
    "a number below nothing": lambda *_: {"arrival": "-1"},
    "no JSON": lambda *_: {"data": "\x80\x04\x95"},
    "another function": lambda *_: {"data": b'["os.system",null,["true"],{}]'},
    "false for a user": lambda event, _: {"data": data(event, False)},
    "text for a user": lambda event, _: {"data": data(event, "")},  # type: ignore[arg-type]
    "false for tickets": lambda event, user: {"data": data(event, user, tickets=False)},
    "too many tickets for a database": lambda event, user: {
        "data": data(event, user, kind="book", tickets=2**31 - 1)
    },
    "an event that nobody has": lambda _, user: {"data": data(2**62, user, kind="book", tickets=1)},
    "a user that nobody has": lambda event, _: {"data": data(event, 2**62, kind="book", tickets=1)},
    "somebody else's booking": lambda event, user: {"data": data(event, user, booking_id=str(uuid.uuid4()))},
    "a call-off": lambda event, user: {"data": data(event, user, kind="call_off")},
    "an object for a request id": lambda event, user: {"data": data(event, user, request_id={"a": "b"})},
    "an empty list": lambda *_: {"data": "[]"},
    "a list without a request": lambda *_: {"data": '["worker.jobs.decide",null,[],7]'},
    "no running number": lambda *_: {"seq": "x"},
    "no queue": lambda *_: {"origin": "nowhere"},
    "a state that nobody knows": lambda *_: {"status": "deferred"},
}


def send(driver: LineDriver, request: NewRequest) -> str:
    assert isinstance(
        accept.send(driver.runner, driver.settings, driver.installation, request, OPEN_DOOR), accept.Accepted
    )
    return str(request.job_id)


class TestTamperedJob:
    @pytest.mark.parametrize("what", TAMPERED)
    def test_never_stops_the_line(self, engine, driver, settings, what):
        event, users = make_event(engine), make_users(engine, 3)
        first, tampered, last = (send(driver, book(event.id, user.id)) for user in users)
        driver.redis.hset(keys.job(tampered), mapping=TAMPERED[what](event.id, users[1].id))
        driver.claim()
        for _ in range(10):  # a worker would go on for ever
            driver.decide(event.id % 8)
        assert driver.redis.llen(keys.in_flight(event.id % 8)) == 0
        assert driver.redis.llen(keys.queue(event.id % 8)) == 0
        with transaction(engine) as session:
            outcomes = dict(session.execute(text("select job_id::text, outcome from decisions")).all())
        assert outcomes[first] == "confirmed"
        assert outcomes[last] == "confirmed"
        assert run_audit(settings, with_redis=False).findings == []

    @pytest.mark.parametrize("what", TAMPERED)
    def test_is_told_of_without_an_error(self, app, client, engine, redis_client, what):
        user, admin, event = make_user(engine), make_user(engine, role="admin"), make_event(engine)
        who, manager = auth_header(app, user), auth_header(app, admin)
        job = client.post(f"/api/bookings/{event.id}/book", headers=who, json={}).json["job_id"]
        redis_client.hset(keys.job(job), mapping=TAMPERED[what](event.id, user.id))
        calls = {
            "status": client.get(f"/api/bookings/status/{job}", headers=who),
            "requests": client.get("/api/bookings/requests", headers=who),
            "withdraw": client.delete(f"/api/bookings/status/{job}", headers=who),
            "job": client.get(f"/api/admin/queue/jobs/{job}", headers=manager),
            "jobs": client.get("/api/admin/queue/details?state=waiting", headers=manager),
            "line": client.get(f"/api/events/{event.id}/line", headers=manager),
            "stats": client.get("/api/admin/queue/stats", headers=manager),
        }
        assert {name: call.status_code for name, call in calls.items() if call.status_code >= 500} == {}

    def test_that_stands_twice_in_the_line_is_decided_once(self, engine, driver, settings):
        event, users = make_event(engine), make_users(engine, 2)
        jobs = [send(driver, book(event.id, user.id)) for user in users]
        driver.redis.rpush(keys.queue(event.id % 8), *jobs)
        driver.claim()
        decide_until_empty(driver, event.id % 8)
        with transaction(engine) as session:
            rows = session.execute(
                text("select job_id::text, outcome from decisions where arrival > 0")
            ).all()
        assert sorted(rows) == sorted((job, "confirmed") for job in jobs)
        assert driver.redis.llen(keys.in_flight(event.id % 8)) == 0


def decide_until_empty(driver: LineDriver, partition: int) -> None:
    """As a worker does: what fails is looked at again."""
    for _ in range(20):
        try:
            if driver.decide(partition) == "empty":
                return
        except psycopg2.Error:
            driver.session.rollback()
    raise AssertionError("the line stands")


class TestFullRedis:
    def test_is_drained_by_a_worker_that_starts_then(self, engine, driver, settings, redis_client):
        event, users = make_event(engine), make_users(engine, 30)
        jobs = [send(driver, book(event.id, user.id)) for user in users]
        redis_client.config_set("maxmemory", "1")
        try:
            with worker_process(settings):
                await_that(
                    lambda: {redis_client.hget(keys.job(job), "status") for job in jobs} == {b"finished"},
                    what="the drained line",
                )
        finally:
            redis_client.config_set("maxmemory", "512mb")
        assert run_audit(settings).findings == []


class TestEmptiedRedis:
    def test_numbers_a_cancellation_on_from_the_ledger(self, app, client, engine, driver, redis_client):
        event, user = make_event(engine), make_user(engine)
        headers = {**auth_header(app, user), "Prefer": "wait=0"}
        job = client.post(f"/api/bookings/{event.id}/book", json={"tickets": 1}, headers=headers).json[
            "job_id"
        ]
        driver.decide_all()
        booking = client.get(f"/api/bookings/status/{job}", headers=headers).json["booking"]["id"]
        await_that(
            lambda: app.extensions["guichet"].snapshots.find(event.id).last_arrival == 1,
            what="the fresh snapshot",
        )
        redis_client.flushall()
        answer = client.delete(f"/api/bookings/{booking}", headers=headers)
        assert (answer.status_code, answer.json["arrival"], answer.json["position"]) == (202, 2, 1)


class TestBatchSize:
    """The property of tests/unit/test_allocation.py, through the real tables: one by one, or all at once."""

    COLUMNS = "job_id, event_id, number, arrival, kind, user_id, tickets, outcome, reason, booking_id, available_after"

    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_changes_no_row(self, settings, postgres, redis_url, engine, tmp_path, seed):
        events = [make_event(engine, capacity=capacity) for capacity in (5, 12)]
        users = [user.id for user in make_users(engine, 8)]
        twin = "twin_of_" + uuid.uuid4().hex[:8]
        engine.dispose()
        postgres.create_database(twin, template=self.database(engine))
        twin_engine = make_engine(postgres.database_url(twin))
        try:
            line = self.line(random.Random(seed), [event.id for event in events], users)
            one = self.work_off(replace(settings, batch_max=1), engine, line)
            other = self.work_off(
                replace(settings, batch_max=250, database_url=postgres.database_url(twin)), twin_engine, line
            )
            assert one == other
            assert len(one[0]) == len(line)
            assert len({row[7] for row in one[0]}) > 2  # confirmed, rejected and others: not a dull line
        finally:
            twin_engine.dispose()
            postgres.drop_database(twin)

    def database(self, engine) -> str:
        with transaction(engine) as session:
            name = session.scalar(text("select current_database()"))
        engine.dispose()
        return name

    def line(self, generator: random.Random, events: list[int], users: list[int]) -> list[NewRequest]:
        made: list[NewRequest] = []
        for _ in range(60):
            event_id, user_id = generator.choice(events), generator.choice(users)
            books = [one for one in made if one.kind == "book"]
            if books and generator.random() < 0.4:
                of = generator.choice(books)
                made.append(
                    replace(
                        cancel(of.event_id, generator.choice([of.user_id, user_id])),
                        booking_id=derived_uuid(of.job_id, 0),
                        acting_as=generator.choice(["owner", "host"]),
                    )
                )
            else:
                made.append(book(event_id, user_id, tickets=generator.randint(1, 5)))
        return made

    def work_off(self, settings, engine, line: list[NewRequest]) -> tuple[list[Any], list[Any], list[Any]]:
        with connect_redis(settings.redis_url) as redis:
            redis.flushall()
        driver = LineDriver(replace(settings, user_undecided_max=1000), engine)
        for number, request in enumerate(line):
            send(driver, request)
            if number % 9 == 0 and request.kind == "book":
                mark(driver.redis, request)
        driver.decide_all()
        driver.close()
        with transaction(engine) as session:
            rows = session.execute(
                text(f"select {self.COLUMNS} from decisions where arrival > 0 order by event_id, number")
            )
            events = session.execute(
                text("select id, booked, last_number, last_arrival from events order by id")
            )
            bookings = session.execute(
                text(
                    "select id, event_id, user_id, tickets, status, arrival, job_id from bookings order by id"
                )
            )
            return rows.all(), events.all(), bookings.all()


def mark(redis: Redis, request: NewRequest) -> None:
    redis.hset(keys.job(str(request.job_id)), "withdrawn", "1")
