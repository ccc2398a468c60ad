"""`/api/monitoring/sync-status`: the ledger against Redis, each disagreement with what it means."""

import uuid

import pytest
from marshmallow import RAISE
from sqlalchemy import text

from api.schemas.monitoring import SyncStatusDocument
from shared.db import transaction
from shared.domain.partitions import partition_of
from shared.line import keys
from shared.line.take import take
from shared.models import Event
from shared.services import sync_status
from tests.factories import auth_header, make_event, make_user
from tests.lines import LineDriver, await_that, worker_process


@pytest.fixture
def look(app, client, engine):
    headers = auth_header(app, make_user(engine, role="admin"))

    def ask():
        answer = client.get("/api/monitoring/sync-status", headers=headers)
        assert answer.status_code == 200, answer.text
        assert SyncStatusDocument(unknown=RAISE).validate(answer.json) == {}
        return answer.json

    return ask


@pytest.fixture
def driver(settings, engine):
    driver = LineDriver(settings, engine)
    yield driver
    driver.close()


@pytest.fixture
def event(app, client, engine, driver) -> Event:
    """Three decided requests and one that waits."""
    event = make_event(engine)
    for _ in range(3):
        book(app, client, engine, event)
    driver.decide_all()
    book(app, client, engine, event)
    return event


def book(app, client, engine, event) -> None:
    headers = auth_header(app, make_user(engine))
    assert client.post(f"/api/bookings/{event.id}/book", headers=headers).status_code == 202


def of(found, event: Event):
    return found["partitions"][partition_of(event.id, 8)]


class TestWhoMayAsk:
    @pytest.mark.parametrize(("role", "status"), [("attendee", 403), ("host", 403), ("admin", 200)])
    def test_is_for_admins(self, app, client, engine, driver, role, status):
        headers = auth_header(app, make_user(engine, role=role))
        assert client.get("/api/monitoring/sync-status", headers=headers).status_code == status


class TestInSync:
    def test_with_requests_that_wait(self, look, event):
        found = look()
        assert (found["in_sync"], found["explanations"]) == (True, [])
        assert of(found, event) == {
            "partition": event.id % 8,
            "waiting": 1,
            "in_flight": 0,
            "undecided": 1,
            "lost": 0,
            "token": found["token_sequence"] - 8 + event.id % 8 + 1,
            "events": 1,
            "complete": True,
            "behind": [],
            "ahead": [],
        }

    def test_with_requests_in_flight_that_are_committed_and_not_replied(
        self, look, app, client, engine, driver, event, monkeypatch
    ):
        with monkeypatch.context() as patch:
            patch.setattr("worker.batch.reply", die)
            with pytest.raises(KeyboardInterrupt):
                driver.decide_all()
        found = look()
        assert (found["in_sync"], of(found, event)["in_flight"]) == (True, 1)

    def test_while_a_worker_decides(self, look, app, client, engine, settings):
        events = [make_event(engine) for _ in range(3)]
        with worker_process(settings):
            for _ in range(10):
                for event in events:
                    book(app, client, engine, event)
                assert look()["explanations"] == []
            await_that(lambda: not any(p["undecided"] for p in look()["partitions"]), what="the decisions")


class TestOutOfSync:
    def test_redis_is_behind(self, look, event, redis_client):
        redis_client.hset(keys.decided(event.id % 8), event.id, 1)
        found = look()
        assert not found["in_sync"]
        assert of(found, event)["behind"] == [{"event_id": event.id, "decided": 1, "last_arrival": 3}]
        (explanation,) = found["explanations"]
        assert f"event {event.id}: 1 in Redis, 3 in the ledger" in explanation

    def test_redis_is_ahead(self, look, event, redis_client):
        redis_client.hset(keys.decided(event.id % 8), event.id, 40)
        found = look()
        assert of(found, event)["ahead"] == [{"event_id": event.id, "decided": 40, "last_arrival": 3}]
        assert "backup" in found["explanations"][0]

    def test_an_event_that_the_ledger_does_not_know(self, look, event, redis_client):
        redis_client.hset(keys.decided(3), 999_999, 5)
        found = look()
        assert found["partitions"][3]["ahead"] == [{"event_id": 999_999, "decided": 5, "last_arrival": 0}]

    def test_the_running_numbers_are_not_what_the_lists_hold(self, look, event, redis_client):
        redis_client.hincrby(keys.counters(event.id % 8), "accepted", 5)
        found = look()
        assert of(found, event)["undecided"] == 6
        assert "6 requests are undecided" in found["explanations"][0]

    def test_lost_ids(self, look, event, redis_client):
        redis_client.rpush(keys.lost(event.id % 8), "x")
        found = look()
        assert (found["in_sync"], of(found, event)["lost"]) == (False, 1)

    def test_a_token_above_the_sequence(self, look, event, redis_client):
        redis_client.set(keys.claim_token(event.id % 8), 1_000_000)
        assert "claim token 1000000" in look()["explanations"][0]

    def test_control_requests_that_get_nowhere(self, look, event, engine):
        with transaction(engine) as session:
            session.execute(
                text(
                    "insert into control_requests (job_id, kind, event_id, acting_as, created_at) values"
                    " (:id, 'call_off', :event, 'host', now() - interval '10 minutes')"
                ),
                {"id": uuid.uuid4(), "event": event.id},
            )
        found = look()
        assert found["control_requests"]["pending"] == 1
        assert 590 < found["control_requests"]["oldest_seconds"] < 700
        assert "control plane" in found["explanations"][0]

    def test_a_redis_of_somebody_else(self, look, event, redis_client):
        redis_client.set(keys.INSTALLATION, "another:8")
        found = look()
        assert (found["in_sync"], found["partitions"]) == (False, [])
        redis_client.flushall()
        assert "empty" in look()["explanations"][0]


class TestBounds:
    def test_many_events_are_compared_in_part(self, look, event, redis_client, monkeypatch):
        monkeypatch.setattr(sync_status, "EVENTS_MAX", 1000)
        partition = event.id % 8
        redis_client.hset(keys.decided(partition), mapping={str(n): 0 for n in range(10_000, 20_000)})
        found = of(look(), event)
        assert not found["complete"]
        assert 1000 <= found["events"] < 5000

    def test_without_redis(self, make_app, engine, settings, own_redis):
        from dataclasses import replace

        app = make_app(replace(settings, redis_url=own_redis.url))
        headers = auth_header(app, make_user(engine, role="admin"))
        own_redis.kill()
        answer = app.test_client().get("/api/monitoring/sync-status", headers=headers)
        assert (answer.status_code, answer.json["code"]) == (503, "line_unavailable")


def test_takes_no_lock_that_a_worker_waits_for(look, event, engine, driver):
    """While somebody holds the event's row, and while a batch is taken."""
    claim = driver.session.held[event.id % 8]
    take(driver.runner, claim, maximum=10, worker_name="driver", instance="driver:1")
    with engine.begin() as worker:
        worker.execute(text("select from events for update"))
        assert look()["in_sync"]


def die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
