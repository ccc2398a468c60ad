"""`/metrics`: who may read it, what it costs, and what it says while a server is away. The line: test_metrics_line.py; several processes: test_metrics_processes.py."""

import os
import signal
import threading
from dataclasses import replace

import pytest

from api.routes.metrics import _is_near
from shared.line import keys
from tests.event_calls import book
from tests.factories import make_event
from tests.lines import await_that
from tests.scraping import scrape

TOKEN = "scraper-token"


class TestWhoMayScrape:
    def test_this_machine_and_private_networks_without_a_token(self, client):
        for address in ("127.0.0.1", "10.1.2.3", "::1", "::ffff:192.168.1.5"):
            assert client.get("/metrics", environ_base={"REMOTE_ADDR": address}).status_code == 200

    @pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1", "::ffff:8.8.8.8", "", "unix"])
    def test_nobody_else_without_a_token(self, client, address):
        answer = client.get("/metrics", environ_base={"REMOTE_ADDR": address})
        assert (answer.status_code, answer.json["code"]) == (403, "forbidden")
        assert not _is_near(address)

    @pytest.mark.parametrize(
        "header",
        ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "X-Forwarded-Host", "X-Forwarded-Proto"],
    )
    def test_nobody_through_a_proxy_without_a_token(self, client, header):
        """A proxy on this machine would make everybody look like this machine."""
        answer = client.get("/metrics", headers={header: "127.0.0.1"})
        assert answer.status_code == 403

    def test_whoever_has_the_token(self, make_app, settings):
        client = make_app(replace(settings, metrics_token=TOKEN)).test_client()
        answer = client.get("/metrics")
        assert (answer.status_code, answer.json["code"]) == (401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"]
        for wrong in (f"{TOKEN}x", "é"):
            assert client.get("/metrics", headers={"Authorization": f"Bearer {wrong}"}).status_code == 401
        elsewhere = {"REMOTE_ADDR": "8.8.8.8"}
        found = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, environ_base=elsewhere)
        assert found.status_code == 200
        assert found.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert found.headers["Cache-Control"] == "no-store"


class TestLabels:
    def test_are_bounded(self, app, client, engine):
        event = make_event(engine)
        before = scrape(client)
        for number in range(20):
            client.get(f"/nowhere/{number}")
            client.get(f"/api/events/{number + 1_000_000}")
            client.open("/api/events", method=f"X{number}")
        book(app, event)
        after = scrape(client)
        new = {
            (labels["method"], labels["route"], labels["status_code"]): value
            - before("http_requests_total", **labels)
            for labels, value in after.series("http_requests_total")
            if value != before("http_requests_total", **labels)
        }
        assert new == {
            ("GET", "unmatched", "404"): 20,
            ("GET", "/api/events/<int:event_id>", "404"): 20,
            ("OTHER", "unmatched", "405"): 20,
            ("POST", "/api/bookings/<int:event_id>/book", "202"): 1,
            ("GET", "/metrics", "200"): 1,
        }

    def test_of_servers_are_operations_and_tables(self, app, client, engine, driver):
        event = make_event(engine)
        book(app, event)
        driver.decide_all()
        found = scrape(client)
        tables = {labels["table"] for labels, _ in found.series("db_query_duration_seconds_count")}
        assert {"events", "decisions", "line_state"} <= tables
        assert found("db_query_duration_seconds_count", operation="commit", table="decisions") > 0
        operations = {
            labels["operation"] for labels, _ in found.series("redis_operation_duration_seconds_count")
        }
        assert {"accept", "take", "reply", "pipeline"} <= operations
        assert not any(event_id in operations for event_id in (str(event.id), keys.queue(event.id % 8)))


class TestCost:
    def test_does_not_grow_with_the_depth(self, app, client, engine, redis_client, settings):
        """200,000 waiting: the same commands as for none."""
        event = make_event(engine)
        scrape(client)
        counts = []
        for filling in (0, 200_000):
            if filling:
                redis_client.rpush(keys.queue(event.id % 8), *[b"x" * 36] * filling)
            redis_client.config_resetstat()
            found = scrape(client)
            assert found.sum("line_depth") == filling
            stats = redis_client.info("commandstats")
            counts.append({name: value["calls"] for name, value in stats.items() if "info" not in name})
        more = {name for name in counts[1] if counts[1][name] != counts[0].get(name)}
        assert more <= {"cmdstat_rpush", "cmdstat_config|resetstat", "cmdstat_hget", "cmdstat_config"}


class TestOutages:
    def test_own_figures_answer_without_redis(self, make_app, settings, own_redis):
        client = make_app(replace(settings, redis_url=own_redis.url)).test_client()
        assert scrape(client)("line_up", part="redis") == 1
        own_redis.kill()
        found = scrape(client)
        assert (found("line_up", part="redis"), found("line_up", part="postgres")) == (0, 1)
        assert found("http_requests_total", method="GET", route="/metrics", status_code="200") > 0
        assert "line_depth" not in found.types
        assert found.sum("line_claims") == 0

    def test_own_figures_answer_without_postgres(self, make_app, own_settings, own_postgres):
        client = make_app(own_settings).test_client()
        assert scrape(client)("line_up", part="postgres") == 1
        own_postgres.stop("immediate")
        found = scrape(client)
        assert (found("line_up", part="redis"), found("line_up", part="postgres")) == (1, 0)
        assert "line_depth" in found.types
        assert "line_claims" not in found.types

    def test_a_server_that_falls_silent_keeps_nobody_waiting(
        self, make_app, settings, own_redis, monkeypatch
    ):
        client = make_app(replace(settings, redis_url=own_redis.url, redis_timeout_seconds=1.0)).test_client()
        await_that(lambda: scrape(client)("line_up", part="redis") == 1, what="an answer in time")
        monkeypatch.setattr("shared.questions.WAIT_SECONDS", 0.1)
        (pid,) = own_redis.pids
        os.kill(pid, signal.SIGSTOP)
        try:
            for _ in range(2):  # the second does not even ask: the first still waits
                assert scrape(client)("line_up", part="redis") == 0
                assert [thread.name for thread in threading.enumerate()].count("figures-redis") <= 1
        finally:
            os.kill(pid, signal.SIGCONT)
        monkeypatch.undo()
        await_that(lambda: scrape(client)("line_up", part="redis") == 1)
