"""An admin looks at one job: everything that Redis and the ledger still know of it, together or alone."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from shared.clock import parse_rfc3339
from shared.domain.outcomes import REASONS
from shared.line import keys
from shared.models import Event
from shared.services.line_jobs import UNREADABLE
from tests.factories import auth_header, make_event, make_user, make_users
from tests.lines import LineDriver

Document = dict[str, Any]


@pytest.fixture
def show(client: FlaskClient, as_admin: dict[str, str]) -> Callable[[str], Document]:
    def detail(job_id: str) -> Document:
        answer = client.get(f"/api/admin/queue/jobs/{job_id}", headers=as_admin)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        document: Document = answer.json
        return document

    return detail


@pytest.fixture
def event(engine) -> Event:
    return make_event(engine)


def steps(document: Document) -> list[str]:
    """Their names; their times never go back here, where all clocks are one."""
    times = [parse_rfc3339(step["at"]) for step in document["timeline"]]
    assert times == sorted(times)
    return [step["step"] for step in document["timeline"]]


class TestJob:
    def test_waits(self, line, event, show, engine):
        line.stand(event, 2)
        (user,) = make_users(engine, 1)
        (job_id,) = line.stand_as(event, [user.id], tickets=2, request_id="r-1")
        document = show(job_id)
        assert document["payload"] == {
            "v": 2, "kind": "book", "event_id": event.id, "user_id": user.id, "tickets": 2, "request_id": "r-1",
        }  # fmt: skip
        found = {
            name: document[name] for name in ("id", "status", "arrival", "position", "attempts", "decision")
        }
        assert found == {
            "id": job_id, "status": "queued", "arrival": 3, "position": 3, "attempts": 0, "decision": None,
        }  # fmt: skip
        assert steps(document) == ["accepted"]

    def test_is_in_flight(self, line, event, show):
        _, job_id = line.stand(event, 2)
        line.take(event, instance="first")
        line.take(event, instance="second")
        document = show(job_id)
        assert (document["status"], document["position"], document["attempts"]) == ("started", 2, 2)
        assert document["worker"] == "driver"
        assert steps(document) == ["accepted", "taken"]

    def test_is_decided(self, line, event, show):
        (job_id,) = line.stand(event)
        line.decide_all()
        document = show(job_id)
        assert (document["status"], document["position"], document["error"]) == ("finished", None, None)
        assert steps(document) == ["accepted", "taken", "decided", "replied"]
        decision = document["decision"]
        assert (decision["outcome"], decision["job_id"], decision["arrival"]) == ("confirmed", job_id, 1)
        assert "user_id" not in decision

    def test_failed(self, line, event, show):
        (job_id,) = line.stand(event)
        line.fail(job_id)
        line.decide_all()
        document = show(job_id)
        assert (document["status"], document["error"]) == ("failed", REASONS["request_failed"])
        assert document["decision"]["outcome"] == "failed"

    def test_has_left_the_line(self, app, client, line, event, show, engine):
        user = make_user(engine)
        (job_id,) = line.stand_as(event, [user.id])
        client.delete(f"/api/bookings/status/{job_id}", headers=auth_header(app, user))
        assert show(job_id)["withdrawn"] is True
        line.decide_all()
        line.redis.flushall()
        document = show(job_id)
        assert (document["withdrawn"], document["decision"]["outcome"]) == (True, "withdrawn")

    def test_is_committed_and_not_replied(self, line, event, show, monkeypatch):
        (job_id,) = line.stand(event)
        with monkeypatch.context() as patch:
            patch.setattr("worker.batch.reply", lambda *_args, **_options: None)
            line.driver.claim()
            line.driver.decide(line.partition_of(event))
        document = show(job_id)
        assert (document["status"], document["position"]) == ("started", None)
        assert steps(document) == ["accepted", "taken", "decided"]

    def test_that_redis_has_forgotten(self, line, event, show):
        (job_id,) = line.stand(event)
        line.decide_all()
        known = show(job_id)
        line.redis.delete(keys.job(job_id), keys.result(job_id))
        document = show(job_id)
        for name in (
            "id",
            "partition",
            "kind",
            "event_id",
            "user_id",
            "tickets",
            "arrival",
            "status",
            "accepted_at",
        ):
            assert document[name] == known[name], name
        assert document["decision"] == known["decision"]
        assert (document["payload"], document["worker"]) == (None, None)
        assert steps(document) == ["accepted", "decided"]

    def test_that_cannot_be_read(self, line, event, show):
        spoiled, overwritten, decided = line.stand(event, 3)
        line.redis.hset(keys.job(spoiled), "data", "what")
        line.redis.delete(keys.job(overwritten))
        line.redis.set(keys.job(overwritten), "what")
        document = show(spoiled)
        assert (document["error"], document["payload"], document["arrival"]) == (UNREADABLE, None, 1)
        document = show(overwritten)
        assert (document["error"], document["status"], document["timeline"]) == (UNREADABLE, None, [])
        line.decide_all()
        line.redis.hset(keys.job(decided), "data", "what")
        document = show(decided)
        assert (document["error"], document["decision"]["outcome"]) == (None, "confirmed")


class TestNoJob:
    def test_is_404(self, client, as_admin, line, event, engine, redis_client):
        line.stand(event)
        task_id, control_row = str(uuid.uuid4()), None
        redis_client.hset(keys.job(task_id), mapping={"origin": "tasks", "data": "x", "status": "failed"})
        with engine.connect() as connection:
            control_row = str(connection.exec_driver_sql("select job_id from decisions").scalar_one())
        for job_id in (uuid.uuid4(), task_id, control_row):
            answer = client.get(f"/api/admin/queue/jobs/{job_id}", headers=as_admin)
            assert (answer.status_code, answer.json["code"]) == (404, "job_not_found")
        assert client.get("/api/admin/queue/jobs/what", headers=as_admin).json["code"] == "not_found"

    def test_is_503_while_redis_is_away_unless_the_ledger_knows(self, make_app, own_redis, settings, engine):
        app = make_app(replace(settings, redis_url=own_redis.url))
        headers = auth_header(app, make_user(engine, role="admin"))
        event, user = make_event(engine), make_user(engine)
        asked = app.test_client().post(f"/api/bookings/{event.id}/book", headers=auth_header(app, user))
        driver = LineDriver(replace(settings, redis_url=own_redis.url), engine)
        driver.decide_all()
        driver.close()
        own_redis.stop()
        answer = app.test_client().get(f"/api/admin/queue/jobs/{asked.json['job_id']}", headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.json["decision"]["outcome"] == "confirmed"
        answer = app.test_client().get(f"/api/admin/queue/jobs/{uuid.uuid4()}", headers=headers)
        assert (answer.status_code, answer.json["code"]) == (503, "line_unavailable")
