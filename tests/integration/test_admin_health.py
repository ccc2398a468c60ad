"""`/api/admin/health`: everything that health knows, for admins; and what it says when a part is away."""

from dataclasses import replace

import pytest
from marshmallow import RAISE
from sqlalchemy import text

from api.schemas.admin_health import AdminHealthDocument
from shared.db import SCHEMA_VERSION, transaction
from shared.metrics.minutes import MINUTES
from tests.factories import auth_header, make_user
from worker import heartbeat


@pytest.fixture
def look(app, client, engine):
    headers = auth_header(app, make_user(engine, role="admin"))

    def ask():
        answer = client.get("/api/admin/health", headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        assert AdminHealthDocument(unknown=RAISE).validate(answer.json) == {}
        return answer.json

    return ask


class TestWhoMayAsk:
    @pytest.mark.parametrize(("role", "status"), [("attendee", 403), ("host", 403), ("admin", 200)])
    def test_is_for_admins(self, app, client, engine, role, status):
        headers = auth_header(app, make_user(engine, role=role))
        assert client.get("/api/admin/health", headers=headers).status_code == status

    def test_is_for_nobody_without_a_token(self, client):
        assert client.get("/api/admin/health").status_code == 401


class TestHealthy:
    def test_says_everything(self, look, redis_client, settings, long_heard):
        heartbeat.beat(redis_client, "somebody")
        found = look()
        assert (found["status"], found["problems"], found["warnings"]) == ("ready", {}, {})
        postgres = found["postgres"]
        assert postgres["schema_found"] == postgres["schema_needed"] == SCHEMA_VERSION
        assert postgres["version"][0].isdigit()
        assert 0 < postgres["connections"] <= postgres["connections_max"]
        assert postgres["database_bytes"] > 1_000_000
        assert postgres["problems"] == []
        redis = found["redis"]
        assert redis["aof_enabled"]
        assert redis["aof_last_write_ok"]
        assert 0 < redis["used_memory_bytes"] < redis["max_memory_bytes"]
        assert {s["name"]: s["found"] for s in redis["settings"]}["appendfsync"] == "always"
        assert [(worker["name"], worker["live"]) for worker in found["workers"]] == [("somebody", True)]
        machine = found["machine"]
        assert machine["disk_path"] == str(settings.data_dir)
        assert 0 < machine["disk_free_bytes"] <= machine["disk_bytes"]
        assert 0 < machine["process_memory_bytes"] < machine["memory_bytes"]
        assert machine["uptime_seconds"] > 0

    def test_says_how_requests_went(self, app, client, look):
        MINUTES.series.clear()  # those of tests a quarter of an hour ago would be forgotten between the looks
        before = look()["requests"]
        for _ in range(5):
            client.get("/nowhere")
        app.view_functions["health.alive"] = lambda: 1 / 0
        client.get("/healthz")
        after = look()["requests"]
        # the look before counts as well
        assert (after["requests"] - before["requests"], after["errors"] - before["errors"]) == (7, 1)
        assert 0 < after["error_rate"] <= 1
        assert 0 < after["p50_ms"] <= after["p95_ms"] <= after["p99_ms"]


class TestParts:
    def test_a_redis_that_may_lose_promises(self, look, redis_client):
        redis_client.config_set("appendfsync", "everysec")
        try:
            found = look()
        finally:
            redis_client.config_set("appendfsync", "always")
        assert "appendfsync" in found["redis"]["problems"][0]
        assert {"name": "appendfsync", "found": "everysec", "needed": "always"} in found["redis"]["settings"]
        assert (found["status"], "durability" in found["problems"]) == ("unready", True)

    def test_an_older_schema(self, look, engine):
        with transaction(engine) as session:
            session.execute(text("update alembic_version set version_num = '0000'"))
        found = look()
        assert found["postgres"]["schema_found"] == "0000"
        assert "schema" in found["problems"]

    def test_without_redis(self, make_app, settings, own_redis, engine):
        app = make_app(replace(settings, redis_url=own_redis.url))
        headers = auth_header(app, make_user(engine, role="admin"))
        assert app.test_client().get("/api/admin/health", headers=headers).json["redis"] is not None
        own_redis.kill()
        answer = app.test_client().get("/api/admin/health", headers=headers)
        assert answer.status_code == 200
        assert (answer.json["redis"], answer.json["workers"]) == (None, [])
        assert "redis" in answer.json["problems"]

    def test_without_postgres_nobody_can_be_an_admin(self, make_app, own_settings, own_postgres):
        """Who asks is looked up there; `/readyz` says what is wrong to everybody."""
        from shared.db import make_engine

        app = make_app(own_settings)
        engine = make_engine(own_settings.database_url, pool_size=1)
        headers = auth_header(app, make_user(engine, role="admin"))
        engine.dispose()
        own_postgres.stop("immediate")
        answer = app.test_client().get("/api/admin/health", headers=headers)
        assert (answer.status_code, answer.json["code"]) == (503, "database_unavailable")
        assert "postgres" in app.test_client().get("/readyz").json["problems"]
