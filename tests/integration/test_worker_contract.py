"""What stock RQ 2.12 tools see: the truth, although no job of ours is ever run by RQ."""

import inspect
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import rq
from rq import Queue, Worker
from rq.job import Job, JobStatus
from rq.registry import FailedJobRegistry, FinishedJobRegistry, StartedJobRegistry, clean_registries
from rq.results import Result
from rq.serializers import JSONSerializer
from rq.suspension import is_suspended
from sqlalchemy import text

from shared.db import transaction
from shared.domain.requests import JOB_FUNCTION
from shared.line import accept
from shared.line import take as line_take
from shared.models import Event
from tests.accepting import book
from tests.factories import make_event, make_users
from tests.lines import LineDriver, await_that, worker_process
from worker.booking_worker import WORKER_TTL_SECONDS, BookingWorker
from worker.jobs import decide


class Line:
    """One event's line, with stock RQ's view of it."""

    def __init__(self, driver: LineDriver, event: Event, users: list[int]) -> None:
        self.driver, self.event, self.users = driver, event, users
        self.partition = event.id % driver.settings.partitions
        self.queue = Queue(f"bookings-{self.partition}", connection=driver.redis, serializer=JSONSerializer)

    def stand(self, count: int, tickets: int = 1) -> list[str]:
        ids = []
        for user_id in self.users[:count]:
            request = book(self.event.id, user_id, tickets=tickets, request_id="r-1")
            accept.send(
                self.driver.runner, self.driver.settings, self.driver.installation, request, accept.Door()
            )
            ids.append(str(request.job_id))
        return ids

    def take(self) -> None:
        """Takes without deciding: what a worker that died in the middle leaves."""
        self.driver.claim()
        claim = self.driver.session.held[self.partition]
        assert claim is not None
        line_take.take(self.driver.runner, claim, maximum=250, worker_name="driver", instance="driver:1")

    def job(self, job_id: str) -> Job:
        return Job.fetch(job_id, connection=self.driver.redis, serializer=JSONSerializer)

    def registry(self, kind: type) -> list[str]:
        registry = kind(queue=self.queue)
        ids = registry.get_job_ids(cleanup=False)
        assert registry.get_job_count(cleanup=False) == len(ids)
        return ids


@pytest.fixture
def line(settings, engine) -> Iterator[Line]:
    driver = LineDriver(settings, engine)
    event = make_event(engine, capacity=1)
    yield Line(driver, event, [user.id for user in make_users(engine, 5)])
    driver.close()


class TestJob:
    def test_waits_as_queued(self, line):
        before = datetime.now(UTC) - timedelta(seconds=1)
        job_id = line.stand(1)[0]
        job = line.job(job_id)
        assert job.get_status() == JobStatus.QUEUED
        assert (job.origin, job.func_name, job.args) == (line.queue.name, JOB_FUNCTION, [])
        assert job.kwargs == {
            "v": 2, "kind": "book", "event_id": line.event.id, "user_id": line.users[0], "tickets": 1, "request_id": "r-1",
        }  # fmt: skip
        assert job.description == "booking"  # a constant: dashboards print it as it is
        assert job.created_at == job.enqueued_at
        assert before < job.enqueued_at.replace(tzinfo=UTC) < datetime.now(UTC) + timedelta(seconds=1)
        assert (job.started_at, job.ended_at, job.worker_name, job.return_value()) == (None, None, None, None)
        assert job.get_position() == 0

    def test_is_started_while_it_is_in_flight(self, line):
        job_id = line.stand(1)[0]
        line.take()
        job = line.job(job_id)
        assert (job.get_status(), job.worker_name) == (JobStatus.STARTED, "driver")
        assert job.started_at >= job.enqueued_at
        assert line.registry(StartedJobRegistry) == [job_id]
        assert line.queue.count == 0

    def test_is_finished_with_its_decision(self, line):
        confirmed, refused = line.stand(2)
        line.driver.decide_all()
        job = line.job(confirmed)
        assert job.get_status() == JobStatus.FINISHED
        assert job.ended_at >= job.started_at
        assert job.return_value()["outcome"] == "confirmed"
        result = job.latest_result()
        assert (result.type, result.worker_name) == (Result.Type.SUCCESSFUL, "driver")
        assert result.return_value["booking"]["tickets"] == 1
        # a refusal is a value, not a failure
        assert line.job(refused).get_status() == JobStatus.FINISHED
        assert line.job(refused).return_value()["reason"] == "sold_out"
        for kind in ("job", "results"):
            assert 3500 < line.driver.redis.ttl(f"rq:{kind}:{confirmed}") <= 3600

    def test_is_failed_only_in_quarantine(self, line):
        bad, good = line.stand(2)
        line.driver.batches._quarantine.add(uuid.UUID(bad))
        line.driver.decide_all()
        job = line.job(bad)
        assert job.get_status() == JobStatus.FAILED
        assert job.latest_result().type == Result.Type.FAILED
        assert job.latest_result().exc_string == (
            "The request could not be decided and was set aside; nothing was booked."
        )
        assert line.job(good).get_status() == JobStatus.FINISHED
        assert line.registry(FailedJobRegistry) == [bad]

    def test_refuses_to_be_run(self):
        with pytest.raises(RuntimeError, match="not run as a job"):
            decide(kind="book")


class TestQueue:
    def test_shows_who_waits_in_order(self, line):
        ids = line.stand(3)
        assert (line.queue.count, line.queue.job_ids) == (3, ids)
        assert {queue.name for queue in Queue.all(connection=line.driver.redis)} == {
            f"bookings-{partition}" for partition in range(8)
        }

    def test_registries_follow_the_jobs(self, line):
        ids = line.stand(3)
        line.take()
        assert line.registry(StartedJobRegistry) == ids
        assert line.registry(FinishedJobRegistry) == []
        line.driver.decide_all()
        assert line.registry(StartedJobRegistry) == []
        assert sorted(line.registry(FinishedJobRegistry)) == sorted(ids)
        assert line.registry(FailedJobRegistry) == []

    def test_in_flight_jobs_are_nobody_elses_to_clean(self, line):
        """RQ's maintenance fails jobs whose worker seems to be dead; ours are about to be decided."""
        ids = line.stand(3)
        line.take()
        line.stand(4)
        stranger = rq.SimpleWorker([line.queue], connection=line.driver.redis, serializer=JSONSerializer)
        stranger.clean_registries()
        clean_registries(line.queue, [])
        assert StartedJobRegistry(queue=line.queue).count == 3  # this property cleans, too
        assert line.registry(StartedJobRegistry) == ids
        assert [line.job(job_id).get_status() for job_id in ids] == [JobStatus.STARTED] * 3
        assert line.driver.decide_all() == 7


class TestSuspend:
    def test_stops_decisions_without_one_more_job(self, line, settings):
        rq_command(settings, "suspend")
        assert is_suspended(line.driver.redis)
        line.stand(2)
        line.driver.claim()
        assert line.driver.decide(line.partition) == "suspended"
        assert line.queue.count == 2
        rq_command(settings, "resume")
        assert line.driver.decide(line.partition) == 2

    def test_leaves_what_is_in_flight_where_it_is(self, line, settings):
        ids = line.stand(2)
        line.take()
        rq_command(settings, "suspend")
        assert line.driver.decide(line.partition) == "suspended"
        assert line.registry(StartedJobRegistry) == ids
        rq_command(settings, "resume")
        assert line.driver.decide(line.partition) == 2


def rq_command(settings, *arguments: str) -> str:
    """What stock `rq` prints."""
    done = subprocess.run(
        [sys.executable, "-m", "rq.cli", *arguments, "--url", settings.redis_url],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout


class TestWorkerProcess:
    def test_is_in_rqs_lists_and_obeys_its_commands(self, line, engine, settings):
        redis = line.driver.redis
        with worker_process(settings) as process:
            worker = await_that(
                lambda: next(iter(Worker.all(connection=redis, serializer=JSONSerializer)), None),
                what="a worker",
            )
            assert worker.name.startswith("bookings-")
            assert worker.pid == process.pid
            assert sorted(worker.queue_names()) == [f"bookings-{partition}" for partition in range(8)]
            assert 0 < redis.ttl(worker.key) <= WORKER_TTL_SECONDS + 60

            ids = line.stand(4)
            await_that(lambda: line.job(ids[-1]).get_status() == JobStatus.FINISHED, what="the last decision")
            assert all(line.job(job_id).worker_name == worker.name for job_id in ids)
            await_that(lambda: refreshed(worker).successful_job_count == 4, what="the count of jobs")
            assert refreshed(worker).failed_job_count == 0
            await_that(lambda: refreshed(worker).get_state() == "idle", what="the idle worker")

            shown = rq_command(settings, "info")
            assert "8 queues, 0 jobs total" in shown
            assert worker.name in shown
            assert "idle" in shown
            assert "1 workers, 8 queues" in shown

            rq_command(settings, "suspend")
            waiting = line.stand(5)[-1]
            # two heartbeats later it has looked at the line again, and taken nothing
            first = refreshed(worker).last_heartbeat
            await_that(
                lambda: refreshed(worker).last_heartbeat > first + timedelta(seconds=2), what="heartbeats"
            )
            assert line.job(waiting).get_status() == JobStatus.QUEUED
            assert line.queue.count == 5
            rq_command(settings, "resume")
            await_that(lambda: line.job(waiting).get_status() == JobStatus.FINISHED, what="the resumed line")

            process.terminate()
            assert process.wait(timeout=60) == 0
        assert Worker.all(connection=redis, serializer=JSONSerializer) == []
        with transaction(engine) as session:
            assert session.scalar(text("select count(*) from decisions where arrival is not null")) == 9


def refreshed(worker: Worker) -> Worker:
    worker.refresh()
    return worker


class TestOverriddenMethods:
    """RQ 3 changes what we override: then this fails before a worker does."""

    @pytest.mark.parametrize(
        ("name", "parameters"),
        [
            ("execute_job", ["self", "job", "queue"]),
            ("_set_connection", ["self", "connection"]),
            ("clean_registries", ["self"]),
            ("request_stop", ["self", "signum", "frame"]),
        ],
    )
    def test_have_the_signatures_that_rq_calls(self, name, parameters):
        assert list(inspect.signature(getattr(rq.SimpleWorker, name)).parameters) == parameters
        assert list(inspect.signature(getattr(BookingWorker, name)).parameters) == parameters
        assert getattr(BookingWorker, name) is not getattr(rq.SimpleWorker, name)

    def test_work_takes_whatever_rq_would_give_it(self):
        assert "burst" in inspect.signature(rq.SimpleWorker.work).parameters
        kinds = {parameter.kind for parameter in inspect.signature(BookingWorker.work).parameters.values()}
        assert {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD} <= kinds

    @pytest.mark.parametrize(
        ("name", "parameters"),
        [
            ("register_birth", ["self"]),
            ("register_death", ["self"]),
            ("subscribe", ["self"]),
            ("unsubscribe", ["self"]),
            ("heartbeat", ["self", "timeout", "pipeline"]),
            ("set_state", ["self", "state", "pipeline"]),
            ("get_state", ["self"]),
        ],
    )
    def test_use_what_rq_has(self, name, parameters):
        assert list(inspect.signature(getattr(rq.SimpleWorker, name)).parameters) == parameters

    def test_a_booking_is_never_run_singly(self, line):
        assert rq.VERSION.startswith("2.12.")
        job = line.job(line.stand(1)[0])
        with pytest.raises(NotImplementedError):
            BookingWorker.execute_job(object.__new__(BookingWorker), job, line.queue)
