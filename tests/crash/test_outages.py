"""Processes and servers die while requests flow; the workers that live on are the same processes."""

import contextlib
import os
import random
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask

from scripts.embedded.postgres import EmbeddedPostgres
from scripts.embedded.redis import EmbeddedRedis
from shared.line.status import LineJob
from shared.services.requests import find_statuses
from shared.settings import Settings
from tests.crash.flows import Desk, Flow, recover, unlimited
from tests.factories import auth_header, make_users
from tests.lines import LineDriver, await_that, worker_process


def test_workers_killed_again_and_again(desk: Desk, settings: Settings) -> None:
    events = [*desk.open_events(2, partition=3, capacity=60), *desk.open_events(1, partition=6, capacity=60)]
    chance = random.Random(4)
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(worker_process(settings)) for _ in range(2)]
        with Flow(desk, events) as flow:
            for _ in range(6):
                desk.await_decisions(20)
                flow.await_more(chance.randrange(1, 30))
                victim = workers.pop(chance.randrange(2))
                victim.kill()
                workers.append(stack.enter_context(worker_process(settings)))
        desk.await_empty()
    flow.assert_kept()


def _die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


class TestRedisKilled:
    def test_loses_and_doubles_nothing(
        self, own_desk: Desk, own_settings: Settings, own_redis: EmbeddedRedis
    ) -> None:
        events = [*own_desk.open_events(1, partition=1, capacity=50), *own_desk.open_events(1, capacity=50)]
        with worker_process(own_settings) as worker:
            with Flow(own_desk, events, threads=4, pause_seconds=0) as flow:
                for _ in range(3):
                    flow.await_more(100)
                    own_redis.kill()
                    refused = len(flow.refused)
                    await_that(lambda n=refused: len(flow.refused) > n, what="a declared 503")
                    own_redis.start()
                    own_desk.await_decisions(50)
            own_desk.await_empty()
            assert worker.poll() is None  # the same process
            flow.repeat_unknown()
            own_desk.await_empty()
        assert flow.unknown  # the crash hit requests on their way
        flow.assert_kept()

    def test_between_commit_and_reply_takes_no_answer_back(
        self, own_desk: Desk, own_settings: Settings, own_redis: EmbeddedRedis
    ) -> None:
        """While Redis is away the ledger answers; when it is back it knows of no decision yet."""
        event = own_desk.open_events(1)[0]
        job_id = own_desk.book(event).job_id
        with contextlib.closing(LineDriver(own_settings, own_desk.engine)) as driver:
            driver.claim()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("worker.batch.reply", _die)
                with pytest.raises(KeyboardInterrupt):
                    driver.decide(3)
        own_redis.kill()
        told = find_statuses(own_desk.engine, own_desk.line, [(job_id, None)])[0]
        assert told is not None
        assert told.is_decided
        own_redis.start()
        in_hand = own_desk.line.find_job(job_id)
        assert isinstance(in_hand, LineJob)
        assert in_hand.result is None
        assert find_statuses(own_desk.engine, own_desk.line, [(job_id, None)])[0] == told
        recover(own_settings, own_desk.engine)
        assert find_statuses(own_desk.engine, own_desk.line, [(job_id, None)])[0] == told

    def test_away_while_the_worker_starts(
        self, own_desk: Desk, own_settings: Settings, own_redis: EmbeddedRedis
    ) -> None:
        event = own_desk.open_events(1)[0]
        own_desk.book_each(event)
        own_redis.kill()
        with worker_process(own_settings) as worker:
            own_redis.start()
            own_desk.await_empty()
            assert worker.poll() is None
        own_desk.assert_kept()


class TestRedisHanging:
    @pytest.fixture
    def own_settings(self, own_settings: Settings) -> Settings:
        """What is waited for in vain is waited for a second."""
        return replace(own_settings, redis_timeout_seconds=1.0)

    def test_longer_than_every_time_out_loses_and_doubles_nothing(
        self, own_desk: Desk, own_settings: Settings, own_redis: EmbeddedRedis
    ) -> None:
        events = own_desk.open_events(1, capacity=50)
        with worker_process(own_settings) as worker:
            with Flow(own_desk, events) as flow:
                flow.await_more(100)
                assert own_redis.pid is not None
                os.kill(own_redis.pid, signal.SIGSTOP)
                try:
                    await_that(
                        lambda: {"accept_unknown", "line_unavailable"} <= set(flow.refused),
                        what="declared 503s",
                    )
                finally:
                    os.kill(own_redis.pid, signal.SIGCONT)
                flow.await_more(50)
            own_desk.await_empty()
            flow.repeat_unknown()
            own_desk.await_empty()
            assert worker.poll() is None
        flow.assert_kept()


def test_a_full_redis_refuses_and_drains(
    own_desk: Desk, own_settings: Settings, own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    event = own_desk.open_events(1, capacity=5)[0]
    own_desk.book_each(event)
    used = int(own_desk.redis.info("memory")["used_memory"])
    own_desk.redis.config_set("maxmemory", used // 2)
    with Flow(own_desk, [event]) as flow, worker_process(own_settings, log=tmp_path / "worker.log") as worker:
        await_that(lambda: own_desk.count_undecided() == 0, what="the line to drain")
        await_that(lambda: flow.refused, what="refusals")
        assert set(flow.refused) == {"line_unavailable"}
        assert flow.accepted == {}
        own_desk.redis.config_set("maxmemory", used * 10)
        flow.await_more(20)
        assert worker.poll() is None
    with worker_process(own_settings):
        own_desk.await_empty()
    flow.assert_kept()


class TestPostgresStopped:
    def test_the_api_accepts_on_and_the_same_worker_decides(
        self,
        own_desk: Desk,
        own_settings: Settings,
        own_postgres: EmbeddedPostgres,
        make_app: Callable[[Settings], Flask],
    ) -> None:
        event = own_desk.open_events(1, capacity=10_000)[0]
        app = make_app(unlimited(own_settings))
        callers = [auth_header(app, user) for user in make_users(own_desk.engine, 5)]
        client = app.test_client()

        def book_by_http() -> list[str]:
            answers = [
                client.post(f"/api/bookings/{event}/book", json={}, headers=headers) for headers in callers
            ]
            assert [answer.status_code for answer in answers] == [202] * 5
            return [answer.json["job_id"] for answer in answers if answer.json]

        with worker_process(own_settings) as worker:
            with Flow(own_desk, [event]) as flow:
                jobs = book_by_http()
                for _ in range(2):
                    own_desk.await_decisions(50)
                    own_postgres.stop("immediate")
                    jobs += book_by_http()  # from stale snapshots
                    flow.await_more(100)
                    own_postgres.start()
                    own_desk.engine.dispose()
                    own_desk.await_decisions(50)
            own_desk.await_empty()
            assert worker.poll() is None
        assert flow.refused == []
        rows = own_desk.query(
            "select job_id, event_id, arrival from decisions where job_id = any(cast(:ids as uuid[]))",
            ids=jobs,
        )
        assert len(rows) == len(jobs)
        flow.accepted |= {row.job_id: (row.event_id, row.arrival) for row in rows}
        flow.assert_kept()
