"""The line in figures: what is there, who holds it, how fast it goes, and what is wrong."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.clock import parse_rfc3339
from shared.db import transaction
from shared.line import keys
from shared.line.look import look_at_workers
from shared.services import health, line_pause
from tests.factories import auth_header, make_event, make_user
from tests.lines import await_that, worker_process
from worker import heartbeat
from worker.compose import make_booking_worker

URL = "/api/admin/queue/stats"


@pytest.fixture
def stats(client, as_admin) -> Callable[[], dict[str, Any]]:
    def over_http() -> dict[str, Any]:
        answer = client.get(URL, headers=as_admin)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        document: dict[str, Any] = answer.json
        return document

    return over_http


def parts(document: dict[str, Any]) -> list[str]:
    return [problem["part"] for problem in document["problems"]]


class TestFigures:
    def test_of_an_empty_line(self, stats):
        document = stats()
        assert parts(document) == ["worker"]
        figures = {
            name: document[name] for name in ("state", "paused", "waiting", "in_flight", "failed", "finished")
        }
        assert figures == {
            "state": "running", "paused": None, "waiting": 0, "in_flight": 0, "failed": 0, "finished": 0,
        }  # fmt: skip
        assert (document["oldest_waiting_seconds"], document["decided_per_second"]) == (None, 0)
        assert document["healthy"] is False
        assert document["workers"] == []
        assert [partition["partition"] for partition in document["partitions"]] == list(range(8))
        assert {partition["holder"] for partition in document["partitions"]} == {None}

    def test_count_each_job_where_it_is(self, stats, line, engine):
        first, second = make_event(engine), make_event(engine)
        (bad,) = line.stand(first)
        line.fail(bad)
        line.stand(first, 4)
        line.decide_all()
        line.stand(first, 3)
        line.take(first, maximum=2)
        line.stand(second, 5)
        document = stats()
        counts = ("waiting", "in_flight", "finished", "failed", "lost")
        assert {name: document[name] for name in counts[:4]} == {
            "waiting": 6, "in_flight": 2, "finished": 4, "failed": 1,
        }  # fmt: skip
        found = {p["partition"]: tuple(p[name] for name in counts) for p in document["partitions"]}
        assert found[line.partition_of(first)] == (1, 2, 4, 1, 0)
        assert found[line.partition_of(second)] == (5, 0, 0, 0, 0)
        assert sum(sum(counts) for counts in found.values()) == 13

    def test_the_oldest_is_what_was_accepted_first_and_is_not_decided(self, stats, line, engine):
        first, second = make_event(engine), make_event(engine)
        taken, waiting = line.stand(first, 2)
        line.take(first, maximum=1)
        (other,) = line.stand(second)
        for job_id, seconds in ((taken, 500), (waiting, 300), (other, 400)):
            accepted_at = parse_rfc3339(line.redis.hget(keys.job(job_id), "enqueued_at").decode())
            earlier = accepted_at - timedelta(seconds=seconds)
            line.redis.hset(keys.job(job_id), "enqueued_at", earlier.isoformat())
        document = stats()
        ages = {p["partition"]: p["oldest_waiting_seconds"] for p in document["partitions"]}
        assert 500 <= ages[line.partition_of(first)] < 560
        assert 400 <= ages[line.partition_of(second)] < 460
        assert document["oldest_waiting_seconds"] == ages[line.partition_of(first)]
        line.decide_all()
        assert stats()["oldest_waiting_seconds"] is None

    def test_damage_is_no_obstacle(self, stats, line, engine):
        event = make_event(engine)
        (job_id,) = line.stand(event)
        line.redis.delete(keys.job(job_id))
        line.redis.rpush(keys.queue(3), b"\xff")
        document = stats()
        assert document["waiting"] == 2
        assert document["oldest_waiting_seconds"] is None
        line.decide_all()
        assert "lost" in parts(stats())

    def test_what_has_expired_is_not_counted(self, stats, line, engine):
        event = make_event(engine)
        gone, _ = line.stand(event, 2)
        line.decide_all()
        line.redis.zadd(keys.finished(line.partition_of(event)), {gone: int(line.redis.time()[0]) - 1})
        assert stats()["finished"] == 1


class TestPause:
    def test_is_shown_with_who_and_why(self, stats, engine):
        admin = make_user(engine, role="admin", name="Ada")
        with transaction(engine) as session:
            line_pause.pause(session, actor_id=admin.id, reason="maintenance")
        document = stats()
        assert document["state"] == "paused"
        since = document["paused"].pop("since")
        assert document["paused"] == {
            "reason": "maintenance", "by": {"id": admin.id, "name": "Ada"}, "resume_at": None,
        }  # fmt: skip
        parse_rfc3339(since)
        assert "paused" not in parts(document)  # somebody wants it so

    def test_by_a_command_has_nobody(self, stats, engine):
        with transaction(engine) as session:
            line_pause.pause(session, actor_id=None)
        assert stats()["paused"]["by"] is None

    def test_suspended_workers_are_a_problem(self, stats, redis_client, long_heard):
        heartbeat.beat(redis_client, "somebody")
        assert stats()["healthy"] is True
        redis_client.set(keys.RQ_SUSPENDED, 1)
        document = stats()
        assert (parts(document), document["healthy"]) == (["suspended"], False)


class TestWorkers:
    def test_a_real_one_holds_everything_and_says_what_it_does(self, stats, settings, line, engine):
        with worker_process(settings) as process:
            document = await_that(
                lambda: (found := stats()) and None not in holders(found) and found,
                what="a holder of everything",
            )
            (worker,) = document["workers"]
            assert (worker["name"].startswith("bookings-"), str(process.pid) in worker["name"]) == (
                True,
                True,
            )
            assert (worker["partitions"], worker["live"], worker["decided"]) == (list(range(8)), True, 0)
            assert holders(document) == {worker["name"]}
            assert document["healthy"] is True
            line.stand(make_event(engine), 30)
            busy = await_that(
                lambda: (found := stats()) and found["workers"][0]["decided"] == 30 and found,
                what="its count",
            )
            assert (busy["waiting"], busy["in_flight"], busy["finished"]) == (0, 0, 30)
            await_that(lambda: stats()["decided_per_second"] == 0, what="an idle line to say so")
            process.terminate()
            process.wait()
            assert stats()["workers"] == []

    def test_a_dead_one_holds_nothing(self, stats, settings, redis_client):
        with worker_process(settings) as process:
            await_that(lambda: None not in holders(stats()), what="a holder")
            process.kill()
            process.wait()
            document = await_that(
                lambda: (found := stats()) and holders(found) == {None} and found, what="its end"
            )
        assert [worker["live"] for worker in document["workers"]] == [False]
        assert document["decided_per_second"] == 0
        assert parts(document) == ["worker"]

    def test_is_a_problem_of_the_same_look_that_shows_the_workers(self, stats, monkeypatch):
        monkeypatch.setattr(health, "count_live_workers", lambda redis: 1)  # a second ago there was one
        document = stats()
        assert (document["workers"], parts(document)) == ([], ["worker"])

    def test_hashes_that_somebody_damaged(self, stats, redis_client, long_heard):
        for name in ("empty", "wrong", "odd"):
            heartbeat.beat(redis_client, name)
        redis_client.set(keys.worker("wrong"), "what")
        redis_client.hset(
            keys.worker("odd"),
            mapping={
                "partitions": "x,1,,-2",
                "decided": "many",
                "decided_per_second": "nan",
                "last_heartbeat": "?",
            },
        )
        odd, empty = sorted(stats()["workers"], key=lambda worker: worker["name"], reverse=True)
        assert empty["state"] == "unknown"
        assert (odd["partitions"], odd["decided"], odd["decided_per_second"], odd["heartbeat_at"]) == (
            [1],
            0,
            0,
            None,
        )


def holders(document: dict[str, Any]) -> set[str | None]:
    return {partition["holder"] for partition in document["partitions"]}


class TestReport:
    """What a worker writes of itself."""

    def test_is_written_when_something_changed_and_only_then(self):
        report = heartbeat.WorkerReport()
        first = report.changes(held=[3, 1], decided=0, now=10.0)
        assert first == {"partitions": "1,3", "decided": "0", "decided_per_second": "0.0"}
        assert report.changes(held=[3, 1], decided=0, now=11.0) == first  # it was not written yet
        report.written(first)
        assert report.changes(held=[1, 3], decided=0, now=12.0) == {}
        busy = report.changes(held=[1, 3], decided=50, now=14.0)
        assert busy == {"decided": "50", "decided_per_second": "25.0"}
        report.written(busy)
        assert report.changes(held=[1, 3], decided=50, now=15.0) == {"decided_per_second": "0.0"}
        report.forget()
        assert set(report.changes(held=[1], decided=50, now=16.0)) == set(first)

    def test_is_said_again_when_the_hash_has_vanished(self, settings, redis_client):
        worker = make_booking_worker(settings, "test", 1)

        def beat() -> None:
            worker._beat_timer._next = worker._claim_timer._next = 0.0
            worker._housekeep()

        try:
            beat()
            beat()
            (seen,) = look_at_workers(redis_client)
            assert seen.partitions == list(range(8))
            redis_client.flushdb()
            worker._gate.check()
            beat()
            (seen,) = look_at_workers(redis_client)
            assert seen.partitions == list(range(8))
        finally:
            worker._let_go()

    def test_an_idle_worker_writes_no_more_than_its_heartbeat(self, settings, redis_client):
        worker = make_booking_worker(settings, "test", 1)

        def beat() -> None:
            worker._beat_timer._next = 0.0
            worker._housekeep()

        try:
            for _ in range(3):
                beat()
            before = redis_client.info("commandstats")["cmdstat_hset"]["calls"]
            beat()
            assert redis_client.info("commandstats")["cmdstat_hset"]["calls"] == before + 1
        finally:
            worker._let_go()


class TestAway:
    def test_redis(self, make_app, own_redis, settings, engine):
        app = make_app(replace(settings, redis_url=own_redis.url))
        headers = auth_header(app, make_user(engine, role="admin"))
        assert app.test_client().get(URL, headers=headers).status_code == 200
        own_redis.stop()
        answer = app.test_client().get(URL, headers=headers)
        assert (answer.status_code, answer.json["code"]) == (503, "line_unavailable")

    def test_another_installations_redis(self, client, as_admin, redis_client):
        redis_client.set(keys.INSTALLATION, "another:8")
        answer = client.get(URL, headers=as_admin)
        assert (answer.status_code, answer.json["code"]) == (503, "line_unavailable")
