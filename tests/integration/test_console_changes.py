"""What the console may change where the setting allows it: background tasks, and never a booking request."""

import dataclasses
import json

import pytest
from sqlalchemy import select

from shared.db import transaction
from shared.line.keys import TASK_QUEUE
from shared.models import AuditLogEntry
from tests.console_calls import (
    CHANGES,
    OWN,
    addresses,
    change,
    dump,
    make_admin,
    page_token,
    plant_everywhere,
    plant_job,
    signed_in,
)
from worker import entries


@pytest.fixture
def admin(engine):
    return make_admin(engine)


@pytest.fixture
def browser(make_app, settings, engine, admin):
    return signed_in(make_app(dataclasses.replace(settings, console_writable=True)), engine, admin)


def plant_failed(redis, job_id, queue="tasks"):
    plant_job(redis, job_id, queue, status="failed", ended_at="2030-01-01T00:00:01.000000Z")
    redis.zadd(f"rq:failed:{queue}", {job_id: 9e9})


def audit_log(engine):
    with transaction(engine) as session:
        rows = session.scalars(select(AuditLogEntry).order_by(AuditLogEntry.id)).all()
        return [row for row in rows if row.action.startswith("console.")]


def test_the_task_queue_is_the_workers():
    assert TASK_QUEUE == entries.TASK_QUEUE


class TestReadOnly:
    def test_is_the_default(self, settings, app, engine, redis_client):
        assert settings.console_writable is False
        plant_failed(redis_client, "task-1")
        refused = change(signed_in(app, engine), "/rq/requeue/tasks")
        assert (refused.status_code, refused.json["code"]) == (403, "console_read_only")
        assert audit_log(engine) == []

    def test_pages_offer_no_change(self, app, engine, browser, redis_client):
        plant_failed(redis_client, "task-1")
        reader = signed_in(app, engine)
        for address in ("/rq/0/view/jobs/tasks/failed/8/asc/1", "/rq/0/view/job/task-1"):
            assert "data-change" not in reader.get(address).text
            assert "data-token" not in reader.get(address).text
            assert "data-change" in browser.get(address).text
        assert "data-change" not in browser.get("/rq/0/view/jobs/bookings-0/failed/8/asc/1").text


class TestTasks:
    def test_one_that_failed_runs_again(self, browser, redis_client):
        plant_failed(redis_client, "task-1")
        assert change(browser, "/rq/job/task-1/requeue").json == {"status": "OK"}
        assert redis_client.lrange("rq:queue:tasks", 0, -1) == [b"task-1"]
        assert redis_client.zcard("rq:failed:tasks") == 0
        assert redis_client.hget("rq:job:task-1", "status") == b"queued"

    def test_what_is_requeued_is_still_json(self, browser, redis_client):
        import zlib

        plant_failed(redis_client, "task-1")
        change(browser, "/rq/job/task-1/requeue")
        data = zlib.decompress(redis_client.hget("rq:job:task-1", "data"))
        assert json.loads(data) == ["some.function", None, [], {}]

    def test_all_that_failed_run_again(self, browser, redis_client):
        for job_id in ("task-1", "task-2"):
            plant_failed(redis_client, job_id)
        assert change(browser, "/rq/requeue/tasks").json == {"status": "OK", "count": 2}
        assert redis_client.llen("rq:queue:tasks") == 2

    def test_one_is_dropped(self, browser, redis_client):
        plant_failed(redis_client, "task-1")
        assert change(browser, "/rq/job/task-1/delete").json == {"status": "OK"}
        assert not redis_client.exists("rq:job:task-1")
        assert redis_client.zcard("rq:failed:tasks") == 0

    def test_a_registry_is_emptied(self, browser, redis_client):
        plant_failed(redis_client, "task-1")
        assert change(browser, "/rq/queue/tasks/failed/empty").status_code == 200
        assert not redis_client.exists("rq:job:task-1")

    def test_the_queue_is_compacted(self, browser, redis_client):
        plant_job(redis_client, "task-1", "tasks")
        redis_client.rpush("rq:queue:tasks", "gone", "task-1")
        assert change(browser, "/rq/queue/tasks/compact").status_code == 200
        assert redis_client.lrange("rq:queue:tasks", 0, -1) == [b"task-1"]

    def test_that_are_not_there(self, browser, redis_client):
        refused = change(browser, "/rq/job/nothing/requeue")
        assert (refused.status_code, refused.json["code"]) == (404, "job_not_found")

    def test_that_cannot_be_read_are_left_alone(self, browser, redis_client):
        """RQ would take it out of its registry first, and then fail to write it back."""
        plant_failed(redis_client, "task-1")
        redis_client.hset("rq:job:task-1", "data", b"\x80\x04no json")
        before = dump(redis_client)
        assert change(browser, "/rq/job/task-1/requeue").status_code == 403
        assert dump(redis_client) == before


class TestRecord:
    def test_says_who_did_what(self, engine, browser, admin, redis_client):
        plant_failed(redis_client, "task-1")
        response = change(browser, "/rq/job/task-1/requeue")
        (entry,) = audit_log(engine)
        assert (entry.actor_id, entry.action, entry.target_type, entry.target_id) == (
            admin.id,
            "console.requeue_job",
            "task",
            "task-1",
        )
        assert entry.request_id == response.headers["X-Request-ID"]

    def test_has_every_change(self, engine, browser, redis_client):
        for address in (
            "/rq/requeue/tasks",
            "/rq/queue/tasks/failed/empty",
            "/rq/queue/tasks/compact",
        ):
            assert change(browser, address).status_code == 200
        assert [(entry.action, entry.target_id, entry.changes) for entry in audit_log(engine)] == [
            ("console.requeue_failed", "tasks", {}),
            ("console.empty_registry", "tasks", {"registry_name": "failed"}),
            ("console.compact_queue", "tasks", {}),
        ]


class TestBookings:
    @pytest.mark.parametrize("queue", ["bookings-0", "bookings-7", "somebody-elses"])
    def test_no_address_changes_anything_of_theirs(self, engine, browser, redis_client, queue):
        plant_job(redis_client, "job-1", queue, status="failed")
        plant_everywhere(redis_client, "job-1", queue)
        before = dump(redis_client)
        for address in addresses(CHANGES, queue=queue, job="job-1"):
            refused = change(browser, address)
            assert (refused.status_code, refused.json["code"]) == (403, "console_read_only"), address
        assert dump(redis_client) == before
        assert audit_log(engine) == []

    def test_one_among_the_tasks_is_not_dropped_with_them(self, browser, redis_client):
        """Its id stands, for whatever reason, in a registry of the tasks."""
        for registry in ("finished", "failed", "deferred", "scheduled", "canceled"):
            redis_client.flushall()
            plant_job(redis_client, "job-1", "bookings-0", status="failed")
            redis_client.rpush("rq:queue:bookings-0", "job-1")
            redis_client.zadd(f"rq:{registry}:tasks", {"job-1": 9e9})
            before = dump(redis_client)
            assert change(browser, f"/rq/queue/tasks/{registry}/empty").status_code == 403, registry
            assert dump(redis_client) == before

    def test_one_among_the_failed_tasks_is_not_run_again(self, browser, redis_client):
        plant_failed(redis_client, "job-1", "bookings-0")
        redis_client.zadd("rq:failed:tasks", {"job-1": 9e9})
        before = dump(redis_client)
        assert change(browser, "/rq/requeue/tasks").status_code == 403
        assert dump(redis_client) == before


class TestForgery:
    def test_from_another_site_is_refused(self, browser, redis_client):
        plant_failed(redis_client, "task-1")
        before = dump(redis_client)
        for headers in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ):
            refused = change(browser, "/rq/requeue/tasks", **headers)
            assert (refused.status_code, refused.json["code"]) == (403, "cross_site"), headers
        assert dump(redis_client) == before

    def test_without_any_origin_is_refused(self, browser, redis_client):
        token = page_token(browser)
        refused = browser.post("/rq/requeue/tasks", headers={"X-CSRF-Token": token})
        assert refused.json["code"] == "cross_site"

    def test_without_the_sessions_token_is_refused(self, app, engine, browser, redis_client):
        plant_failed(redis_client, "task-1")
        before = dump(redis_client)
        for token in ("", "x", page_token(signed_in(app, engine))):
            refused = browser.post("/rq/requeue/tasks", headers={**OWN, "X-CSRF-Token": token})
            assert refused.json["code"] == "cross_site"
        assert dump(redis_client) == before

    def test_other_methods_change_nothing(self, browser, redis_client):
        plant_failed(redis_client, "task-1")
        before = dump(redis_client)
        for method in ("PUT", "PATCH", "DELETE"):
            for address in addresses(CHANGES, queue="tasks", job="task-1"):
                assert change(browser, address, method=method).status_code == 405
        assert dump(redis_client) == before
