"""Failed background tasks: an admin sees them, runs them again or drops them, and never a booking request."""

import uuid
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import rq
from redis import Redis
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer
from sqlalchemy import select

from shared.db import transaction
from shared.line import keys
from shared.models import AuditLogEntry
from tests.factories import make_event

URL = "/api/admin/tasks"
# Succeeds as often as it is told: what a task does that fails at first.
TASK = "tests.integration.test_admin_tasks.pop"


def pop(items: list[int]) -> int:
    """Fails for an empty list."""
    return items.pop()


class Tasks:
    """RQ as the task worker uses it."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.queue = Queue("tasks", connection=redis, serializer=JSONSerializer)
        self.failed = FailedJobRegistry(queue=self.queue)

    def fail(self, count: int = 1, function: str = TASK) -> list[str]:
        jobs = [self.queue.enqueue(function, []) for _ in range(count)]
        self.run()
        return [job.id for job in jobs]

    def run(self) -> None:
        worker = rq.SimpleWorker([self.queue], connection=self.redis, serializer=JSONSerializer)
        worker.log.disabled = True
        worker.work(burst=True, logging_level=None)

    def job(self, task_id: str) -> Job:
        return Job.fetch(task_id, connection=self.redis, serializer=JSONSerializer)


@pytest.fixture
def tasks(redis_client, app, client, as_admin) -> Tasks:
    assert (
        client.get("/api/admin/queue/stats", headers=as_admin).status_code == 200
    )  # the Redis is ours by now
    return Tasks(redis_client)


@pytest.fixture
def show(client, as_admin) -> Callable[..., dict[str, Any]]:
    def over_http(**query: Any) -> dict[str, Any]:
        answer = client.get(URL, query_string=query, headers=as_admin)
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json
        return document

    return over_http


@pytest.fixture
def change(client, as_admin):
    def over_http(task_id: str, verb: str) -> Any:
        if verb == "retry":
            return client.post(f"{URL}/{task_id}/retry", headers=as_admin)
        return client.delete(f"{URL}/{task_id}", headers=as_admin)

    return over_http


def entries(engine) -> list[tuple[str, str]]:
    with transaction(engine) as session:
        query = select(AuditLogEntry).where(AuditLogEntry.target_type == "task").order_by(AuditLogEntry.id)
        return [(entry.action, entry.target_id) for entry in session.scalars(query)]


class TestList:
    def test_shows_what_failed_and_why(self, tasks, show):
        (task_id,) = tasks.fail()
        tasks.queue.enqueue(TASK, [1])  # this one waits
        (task,) = show()["items"]
        assert task == {
            "id": task_id,
            "function": TASK,
            "failed_at": task["failed_at"],
            "error": "IndexError: pop from empty list",
            "attempts": 1,
        }
        assert task["failed_at"].endswith("Z")

    def test_is_paged_newest_first(self, tasks, show):
        ids = tasks.fail(5)
        for number, task_id in enumerate(ids):
            tasks.redis.zadd(keys.FAILED_TASKS, {task_id: 2e9 + number // 2})
        expected = sorted(ids, key=lambda task_id: (ids.index(task_id) // 2, task_id), reverse=True)
        found, cursor = [], {}
        while cursor is not None:
            page = show(limit=2, **cursor)
            found += [task["id"] for task in page["items"]]
            cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else None
        assert found == expected

    def test_what_cannot_be_read_is_shown_as_that(self, tasks, show):
        spoiled, other, gone, long = tasks.fail(4)
        tasks.redis.hset(keys.job(spoiled), "data", b"\x80\x04pickle")
        tasks.redis.delete(keys.result(spoiled))
        tasks.redis.set(keys.result(spoiled), "what")
        tasks.redis.delete(keys.job(other))
        tasks.redis.rpush(keys.job(other), "what")
        tasks.redis.delete(keys.job(gone), keys.result(gone))
        tasks.redis.xadd(keys.result(long), {"exc_string": b"???", "type": 2})
        found = {task["id"]: task for task in show()["items"]}
        assert set(found) == {spoiled, other, gone, long}
        assert (found[spoiled]["function"], found[spoiled]["error"]) == (None, None)
        assert (found[other]["function"], found[other]["failed_at"]) == (None, None)
        assert (found[gone]["function"], found[gone]["attempts"]) == (None, 1)
        assert (found[long]["error"], found[long]["attempts"]) == (None, 2)

    def test_booking_requests_are_none(self, tasks, show, line, engine):
        (bad,) = line.stand(make_event(engine))
        line.fail(bad)
        line.decide_all()
        assert show()["items"] == []

    def test_input_is_strict(self, client, as_admin):
        for query in (
            {"limit": "0"},
            {"limit": "101"},
            {"cursor": "x"},
            {"cursor": "WyJsaXN0IiwwLDAsMF0"},
            {"a": "b"},
        ):
            answer = client.get(URL, query_string=query, headers=as_admin)
            assert (answer.status_code, answer.json["code"]) == (422, "validation_failed"), query


class TestRetry:
    def test_puts_it_back_and_it_runs(self, tasks, change, show, engine):
        (task_id,) = tasks.fail()
        answer = change(task_id, "retry")
        assert (answer.status_code, answer.json) == (200, {"id": task_id, "status": "queued"})
        job = tasks.job(task_id)
        assert (job.get_status(), job.started_at, job.ended_at, tasks.queue.job_ids) == (
            "queued", None, None, [task_id],
        )  # fmt: skip
        assert tasks.redis.ttl(keys.job(task_id)) == -1
        assert show()["items"] == []
        tasks.run()
        (task,) = show()["items"]
        assert (task["id"], task["attempts"]) == (task_id, 2)
        assert entries(engine) == [("task.retry", task_id)]

    def test_and_succeeds_when_it_can(self, tasks, change):
        (task_id,) = tasks.fail()
        tasks.redis.hset(keys.job(task_id), "data", orjson.dumps([TASK, None, [[7]], {}]))
        change(task_id, "retry")
        tasks.run()
        assert tasks.job(task_id).get_status() == "finished"
        assert tasks.job(task_id).return_value() == 7

    def test_only_once(self, tasks, change, engine):
        (task_id,) = tasks.fail()
        assert change(task_id, "retry").status_code == 200
        answer = change(task_id, "retry")
        assert (answer.status_code, answer.json["code"]) == (409, "task_not_failed")
        assert tasks.queue.count == 1
        assert entries(engine) == [("task.retry", task_id)]


class TestDrop:
    def test_forgets_it(self, tasks, change, show, engine):
        dropped, kept = tasks.fail(2)
        answer = change(dropped, "drop")
        assert (answer.status_code, answer.data) == (204, b"")
        assert not tasks.redis.exists(keys.job(dropped), keys.result(dropped))
        with pytest.raises(NoSuchJobError):
            tasks.job(dropped)
        assert [task["id"] for task in show()["items"]] == [kept]
        assert entries(engine) == [("task.drop", dropped)]
        assert change(dropped, "drop").json["code"] == "task_not_found"

    def test_of_one_whose_hash_has_expired(self, tasks, change, show):
        (task_id,) = tasks.fail()
        tasks.redis.delete(keys.job(task_id))
        assert change(task_id, "retry").json["code"] == "task_not_found"
        assert change(task_id, "drop").status_code == 204
        assert show()["items"] == []


class TestReason:
    def test_is_written_down(self, tasks, client, as_admin, engine):
        first, second, third = tasks.fail(3)
        body = {"reason": " the disk has room "}
        assert client.post(f"{URL}/{first}/retry", json=body, headers=as_admin).status_code == 200
        query = {"reason": "nobody needs it"}
        assert client.delete(f"{URL}/{second}", query_string=query, headers=as_admin).status_code == 204
        assert client.delete(f"{URL}/{third}", headers=as_admin).status_code == 204
        with transaction(engine) as session:
            rows = session.scalars(select(AuditLogEntry).where(AuditLogEntry.target_type == "task")).all()
            found = {row.target_id: (row.reason, row.changes) for row in rows}
        assert found == {
            first: ("the disk has room", {}),
            second: ("nobody needs it", {}),
            third: (None, {}),
        }

    def test_that_is_none_changes_nothing(self, tasks, client, as_admin, engine):
        (task_id,) = tasks.fail()
        for body in ({"reason": ""}, {"reason": "x" * 201}, {"reason": 7}, {"why": "x"}, []):
            answer = client.post(f"{URL}/{task_id}/retry", json=body, headers=as_admin)
            assert (answer.status_code, answer.json["code"]) == (422, "validation_failed"), body
        for query in ({"reason": " "}, {"reason": "x" * 201}, {"why": "x"}):
            answer = client.delete(f"{URL}/{task_id}", query_string=query, headers=as_admin)
            assert (answer.status_code, answer.json["code"]) == (422, "validation_failed"), query
        assert tasks.failed.get_job_ids(cleanup=False) == [task_id]
        assert entries(engine) == []


@pytest.mark.parametrize("verb", ["retry", "drop"])
class TestNever:
    def test_what_has_not_failed(self, tasks, change, verb, engine):
        job = tasks.queue.enqueue(TASK, [1])
        answer = change(job.id, verb)
        assert (answer.status_code, answer.json["code"]) == (409, "task_not_failed")
        assert tasks.queue.job_ids == [job.id]
        tasks.run()
        assert change(job.id, verb).json["code"] == "task_not_failed"
        assert tasks.job(job.id).get_status() == "finished"
        assert entries(engine) == []

    def test_a_booking_request(self, tasks, change, verb, line, engine):
        event = make_event(engine)
        failed, finished, waiting = line.stand(event, 3)
        line.fail(failed)
        line.take(event, maximum=2)
        line.decide_all()
        waiting = line.stand(event)[0]
        line.redis.zadd(keys.FAILED_TASKS, {waiting: 2e9})  # whatever the registry says
        before = {job_id: line.redis.hgetall(keys.job(job_id)) for job_id in (failed, finished, waiting)}
        for job_id in before:
            answer = change(job_id, verb)
            assert (answer.status_code, answer.json["code"]) == (404, "task_not_found")
        assert {job_id: line.redis.hgetall(keys.job(job_id)) for job_id in before} == before
        assert tasks.queue.count == 0
        assert entries(engine) == []

    def test_what_nobody_knows(self, tasks, change, verb):
        answer = change(str(uuid.uuid4()), verb)
        assert (answer.status_code, answer.json["code"]) == (404, "task_not_found")

    def test_an_id_that_rq_would_not_make(self, tasks, change, verb):
        for task_id in ("a.b", "a%00", "a%20b", "x" * 129, "*", "%F0%9F%98%80"):
            answer = change(task_id, verb)
            assert (answer.status_code, answer.json["code"]) == (404, "not_found"), task_id

    def test_in_another_installations_redis(self, tasks, change, verb, engine):
        (task_id,) = tasks.fail()
        tasks.redis.set(keys.INSTALLATION, "another:8")
        answer = change(task_id, verb)
        assert (answer.status_code, answer.json["code"]) == (503, "line_unavailable")
        assert tasks.failed.get_job_ids(cleanup=False) == [task_id]
        assert entries(engine) == []
