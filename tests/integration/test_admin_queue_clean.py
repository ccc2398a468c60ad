"""An admin cleans the line: decided jobs leave Redis before their time, and nothing else changes."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import select

from scripts.audit import run_audit
from shared.clock import rfc3339
from shared.db import transaction
from shared.line import keys
from shared.line.client import AnswerUnknownError
from shared.models import AuditLogEntry
from tests.factories import auth_header, make_event, make_user
from tests.standing import StandingLine

URL = "/api/admin/queue/clean"


@pytest.fixture
def clean(client, as_admin) -> Callable[..., dict[str, Any]]:
    def over_http(**body: Any) -> dict[str, Any]:
        answer = client.post(URL, json=body, headers=as_admin)
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json
        return document

    return over_http


def everything(redis: Redis) -> dict[bytes, bytes]:
    return {key: redis.dump(key) for key in sorted(redis.scan_iter(count=1000))}


def entries(engine) -> list[AuditLogEntry]:
    with transaction(engine) as session:
        return list(session.scalars(select(AuditLogEntry).where(AuditLogEntry.action == "line.clean")))


@pytest.fixture
def jobs(line: StandingLine, engine) -> dict[str, list[str]]:
    """Jobs of every kind, of two events in two partitions."""
    first, second = make_event(engine), make_event(engine)
    bad = line.stand(first)
    line.fail(bad[0])
    finished = [*line.stand(first, 3), *line.stand(second, 2)]
    line.decide_all()
    in_flight = line.stand(first, 2)
    line.take(first)
    waiting = [*line.stand(first, 2), *line.stand(second, 2)]
    return {"failed": bad, "finished": finished, "in_flight": in_flight, "waiting": waiting}


class TestClean:
    def test_removes_what_is_finished_and_nothing_else(self, line, jobs, clean, settings):
        answer = clean(state="finished")
        assert answer == {"state": "finished", "removed": 5, "would_remove": 5}
        for job_id in jobs["finished"]:
            assert not line.redis.exists(keys.job(job_id), keys.result(job_id))
        for job_id in jobs["failed"] + jobs["in_flight"] + jobs["waiting"]:
            assert line.known(job_id)
        assert sum(line.redis.zcard(keys.finished(partition)) for partition in range(8)) == 0
        assert sum(line.redis.zcard(keys.failed(partition)) for partition in range(8)) == 1
        assert line.decide_all() == 6
        tally = run_audit(settings)
        assert tally.ok, tally.findings

    def test_removes_what_failed(self, line, jobs, clean):
        assert clean(state="failed")["removed"] == 1
        assert not line.known(jobs["failed"][0])
        assert all(line.known(job_id) for job_id in jobs["finished"])

    def test_leaves_everything_else_in_redis_as_it_is(self, line, jobs, clean):
        before = everything(line.redis)
        clean(state="finished")
        after = everything(line.redis)
        gone = {key for job_id in jobs["finished"] for key in (keys.job(job_id), keys.result(job_id))}
        gone |= {keys.finished(partition) for partition in range(8)}
        assert {key.decode() for key in before.keys() - after.keys()} <= gone
        assert after == {key: value for key, value in before.items() if key in after}

    def test_status_and_replay_are_still_answered(self, app, client, engine, line, clean):
        event, user = make_event(engine), make_user(engine)
        headers = {**auth_header(app, user), "Idempotency-Key": "once"}
        asked = client.post(f"/api/bookings/{event.id}/book", headers=headers).json
        line.decide_all()
        before = client.get(asked["links"]["status"], headers=headers).json
        assert clean(state="finished")["removed"] == 1
        assert not line.known(asked["job_id"])
        after = client.get(asked["links"]["status"], headers=headers).json
        assert after["status"] == "confirmed"
        tokens = {"links"}  # the stream's token is new each time
        assert {k: v for k, v in after.items() if k not in tokens} == {
            k: v for k, v in before.items() if k not in tokens
        }
        again = client.post(f"/api/bookings/{event.id}/book", headers=headers)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.json["job_id"] == asked["job_id"]

    def test_the_oldest_go_first_and_no_more_than_the_limit(self, line, clean, engine):
        event = make_event(engine)
        ids = line.stand(event, 5)
        line.decide_all()
        for number, job_id in enumerate(ids):
            line.redis.zadd(keys.finished(line.partition_of(event)), {job_id: 2e9 + number})
        assert clean(state="finished", limit=2)["removed"] == 2
        assert [line.known(job_id) for job_id in ids] == [False, False, True, True, True]
        assert clean(state="finished", limit=10)["removed"] == 3

    def test_more_than_a_chunk(self, line, clean, engine, monkeypatch):
        monkeypatch.setattr("shared.line.clean.CHUNK", 4)
        line.stand(make_event(engine, capacity=30), 21)
        line.stand(make_event(engine, capacity=30), 3)
        line.decide_all()
        assert clean(state="finished", dry_run=True)["would_remove"] == 24
        assert clean(state="finished", dry_run=True, limit=9)["would_remove"] == 9
        assert clean(state="finished", limit=9)["removed"] == 9
        assert clean(state="finished")["removed"] == 15

    def test_only_what_ended_long_enough_ago(self, line, clean, engine):
        event = make_event(engine)
        old, young = line.stand(event, 2)
        line.decide_all()
        seconds, _ = line.redis.time()
        ended_at = datetime.fromtimestamp(int(seconds) - 100, UTC)
        line.redis.hset(keys.job(old), "ended_at", rfc3339(ended_at))
        assert clean(state="finished", older_than_seconds=200)["removed"] == 0
        assert clean(state="finished", older_than_seconds=50)["removed"] == 1
        assert [line.known(old), line.known(young)] == [False, True]

    def test_a_dry_run_changes_nothing(self, line, jobs, clean, engine):
        before = everything(line.redis)
        assert clean(state="finished", dry_run=True) == {"state": "finished", "removed": 0, "would_remove": 5}
        assert everything(line.redis) == before
        assert entries(engine) == []

    def test_is_written_down(self, line, jobs, client, as_admin, engine):
        body = {"state": "finished", "limit": 3, "reason": " room for others "}
        client.post(URL, json=body, headers={**as_admin, "X-Request-ID": "r-7"})
        client.post(URL, json={"state": "finished", "older_than_seconds": 1000}, headers=as_admin)
        (entry,) = entries(engine)  # the second call removed nothing
        assert (entry.target_type, entry.target_id, entry.request_id) == ("line", "bookings", "r-7")
        assert entry.changes == {"state": "finished", "older_than_seconds": 0, "removed": 3}
        assert (entry.actor_id is not None, entry.reason) == (True, "room for others")


class TestDamage:
    def test_a_registry_is_not_believed_that_names_undecided_jobs(self, line, jobs, clean):
        undecided = jobs["waiting"] + jobs["in_flight"]
        for job_id in undecided:
            for partition in range(8):
                line.redis.zadd(keys.finished(partition), {job_id: 2e9})
                line.redis.zadd(keys.failed(partition), {job_id: 2e9})
        clean(state="finished")
        clean(state="failed")
        assert all(line.known(job_id) for job_id in undecided)

    def test_what_is_in_flight_stays_whatever_its_hash_says(self, line, jobs, clean):
        (job_id, _) = jobs["in_flight"]
        line.redis.hset(keys.job(job_id), mapping={"status": "finished", "ended_at": "2000"})
        line.redis.zadd(
            keys.finished(int(line.redis.hget(keys.job(job_id), "origin").decode()[-1])), {job_id: 2e9}
        )
        clean(state="finished")
        assert line.known(job_id)

    def test_entries_without_a_job_go(self, line, clean, jobs):
        line.redis.zadd(keys.failed(3), {"gone": 2e9})
        line.redis.zadd(keys.failed(3), {"overwritten": 2e9})
        line.redis.set(keys.job("overwritten"), "what")
        assert clean(state="failed")["removed"] == 2
        assert line.redis.get(keys.job("overwritten")) == b"what"


class TestTrouble:
    def test_another_installations_redis(self, client, as_admin, line, jobs, engine):
        assert (
            client.post(URL, json={"state": "finished", "dry_run": True}, headers=as_admin).status_code == 200
        )
        line.redis.set(keys.INSTALLATION, "another:8")  # since this process looked
        before = everything(line.redis)
        answer = client.post(URL, json={"state": "finished"}, headers=as_admin)
        assert (answer.status_code, answer.json["code"]) == (503, "line_unavailable")
        assert everything(line.redis) == before
        assert entries(engine) == []

    def test_a_redis_that_goes_away_in_between(self, client, as_admin, line, jobs, engine, monkeypatch):
        """What had gone by then is written down."""
        real = line.driver.runner.__class__.run
        runs = []

        def run(self, name, *arguments):
            if name == "clean":
                runs.append(name)
                if len(runs) > 2:
                    raise AnswerUnknownError
            return real(self, name, *arguments)

        monkeypatch.setattr("shared.line.client.ScriptRunner.run", run)
        monkeypatch.setattr("shared.line.clean.CHUNK", 1)
        answer = client.post(URL, json={"state": "finished"}, headers=as_admin)
        assert (answer.status_code, answer.json["code"]) == (503, "outcome_unknown")
        gone = sum(not line.known(job_id) for job_id in jobs["finished"])
        (entry,) = entries(engine)
        assert (entry.changes["removed_at_least"], entry.changes["outcome"]) == (gone, "unknown")
        assert "removed" not in entry.changes


class TestInput:
    def test_is_strict_and_changes_nothing(self, client, as_admin, line, jobs):
        before = everything(line.redis)
        for body in (
            {},
            {"state": "waiting"},
            {"state": "in_flight"},
            {"state": "finished", "limit": 0},
            {"state": "finished", "limit": 10_001},
            {"state": "finished", "limit": True},
            {"state": "finished", "older_than_seconds": -1},
            {"state": "finished", "older_than_seconds": 2**63},
            {"state": "finished", "older_than_seconds": None},
            {"state": "finished", "dry_run": "yes"},
            {"state": ["finished"]},
            {"state": "finished", "event_id": 1},
            {"state": "finished", "reason": " "},
            {"state": "finished", "reason": "x" * 201},
        ):
            answer = client.post(URL, json=body, headers=as_admin)
            assert (answer.status_code, answer.json["code"]) == (422, "validation_failed"), body
        assert everything(line.redis) == before
