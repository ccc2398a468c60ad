"""Eight API threads against a real worker: every 202 is decided once, in order of arrival, and never oversold."""

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from flask import Flask
from redis import Redis
from sqlalchemy import text

from shared.db import transaction
from shared.ids import uuid7
from shared.line import keys
from shared.line.accept import Accepted
from shared.models import Event, User
from tests.accepting import Doorkeeper, book
from tests.factories import auth_header, make_event, make_users
from tests.lines import await_that, worker_process

THREADS, EACH = 8, 40
CAPACITY = 60


@pytest.fixture
def crowd_app(make_app, settings) -> Flask:
    return make_app(
        replace(settings, sold_out_door=False, booking_rate_per_second=1000.0, booking_rate_burst=1000)
    )


def at_once(work: Callable[[int], object], threads: int = THREADS) -> list:
    """Runs `work` in so many threads that start together."""
    start = threading.Barrier(threads)

    def run(number: int) -> object:
        start.wait()
        return work(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads)))


def book_one(app: Flask, user: User, event: Event, tickets: int, **headers: str):
    return app.test_client().post(
        f"/api/bookings/{event.id}/book",
        json={"tickets": tickets},
        headers={**auth_header(app, user), **headers},
    )


class TestCrowd:
    def test_is_decided_once_in_order_and_never_oversold(self, crowd_app, engine, settings, redis_client):
        event = make_event(engine, capacity=CAPACITY)
        users = make_users(engine, THREADS * EACH)

        def stand(number: int) -> list[dict]:
            mine = users[number * EACH : (number + 1) * EACH]
            answers = [book_one(crowd_app, user, event, 1 + index % 3) for index, user in enumerate(mine)]
            assert {answer.status_code for answer in answers} == {202}
            return [answer.json for answer in answers]

        with worker_process(settings):
            accepted = [one for mine in at_once(stand) for one in mine]
            await_that(lambda: decided(engine, event) == len(accepted), seconds=60, what="all decisions")
            await_that(lambda: not list(redis_client.scan_iter("guichet:undecided:*")), what="the last reply")

        with transaction(engine) as session:
            rows = session.execute(
                text(
                    "select job_id::text, arrival, tickets, outcome, available_after, accepted_at from decisions"
                    " where event_id = :event and arrival is not null order by number"
                ),
                {"event": event.id},
            ).all()
            booked = session.scalar(text("select booked from events where id = :event"), {"event": event.id})
        assert [row.arrival for row in rows] == list(range(1, THREADS * EACH + 1))
        assert {row.job_id: row.arrival for row in rows} == {
            one["job_id"]: one["arrival"] for one in accepted
        }
        assert [row.accepted_at for row in rows] == sorted(row.accepted_at for row in rows)

        left = CAPACITY
        for row in rows:  # first come, first served: nobody in front was refused what somebody behind got
            assert row.outcome == ("confirmed" if row.tickets <= left else "rejected")
            left -= row.tickets if row.outcome == "confirmed" else 0
            assert row.available_after == left >= 0
        assert booked == CAPACITY - left
        assert decided_statuses(redis_client, accepted) == {b"finished"}


def decided(engine, event: Event) -> int:
    with transaction(engine) as session:
        return session.scalar(
            text("select count(*) from decisions where event_id = :event and arrival is not null"),
            {"event": event.id},
        )


def decided_statuses(redis: Redis, accepted: list[dict]) -> set[bytes | None]:
    return {redis.hget(keys.job(one["job_id"]), "status") for one in accepted}


class TestOneKey:
    def test_gives_one_job_however_many_send_it(self, crowd_app, engine, redis_client):
        event, user = make_event(engine), make_users(engine, 1)[0]
        answers = at_once(lambda _: book_one(crowd_app, user, event, 1, **{"Idempotency-Key": "one"}))
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json["job_id"] for answer in answers}) == 1
        assert sum(answer.headers.get("Idempotency-Replayed") == "true" for answer in answers) == THREADS - 1
        assert redis_client.llen(keys.queue(event.id % 8)) == 1

    def test_with_two_payloads_is_one_job_and_a_conflict_for_the_other(self, crowd_app, engine, redis_client):
        event, user = make_event(engine), make_users(engine, 1)[0]
        answers = at_once(
            lambda number: book_one(crowd_app, user, event, 1 + number % 2, **{"Idempotency-Key": "one"})
        )
        assert sorted(answer.status_code for answer in answers) == [202] * 4 + [422] * 4
        assert redis_client.llen(keys.queue(event.id % 8)) == 1


@pytest.fixture
def line(redis_url) -> Iterator[Doorkeeper]:
    line = Doorkeeper(redis_url, user_undecided_max=10, event_undecided_max=10_000)
    line.initialise()
    yield line
    line.close()


class TestArrivals:
    def test_are_gapless_whoever_asks(self, line):
        answers = at_once(lambda number: [line.accept(book(user_id=number * 100 + one)) for one in range(50)])
        flat = [answer for mine in answers for answer in mine]
        assert all(isinstance(answer, Accepted) for answer in flat)
        assert sorted(answer.arrival for answer in flat) == list(range(1, 401))
        assert all(mine == sorted(mine, key=lambda answer: answer.arrival) for mine in answers)
        in_line = [uuid.UUID(job_id.decode()) for job_id in line.redis.lrange(keys.queue(3), 0, -1)]
        assert in_line == [answer.job_id for answer in sorted(flat, key=lambda answer: answer.arrival)]

    def test_limits_hold_whoever_asks(self, line):
        answers = at_once(lambda _: [line.accept(book(event_id=one)) for one in range(10)])
        assert sum(isinstance(answer, Accepted) for mine in answers for answer in mine) == 10

    def test_would_be_given_twice_without_the_script(self, line):
        """The negative control: the same steps as separate commands."""
        met = threading.Barrier(THREADS)

        def accept_in_steps(_: int) -> int:
            last = int(line.redis.hget(keys.arrivals(3), "3") or 0)
            met.wait()  # everybody has read, nobody has written
            line.redis.hset(keys.arrivals(3), "3", last + 1)
            line.redis.rpush(keys.queue(3), str(uuid7()))
            return last + 1

        assert at_once(accept_in_steps) == [1] * THREADS
        assert line.redis.llen(keys.queue(3)) == THREADS
