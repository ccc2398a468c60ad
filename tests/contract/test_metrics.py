"""The names of figures are a contract: alarms are built on them. What is promised is there, and documented."""

import re
from pathlib import Path

from tests.scraping import Scrape

OPERATING = (Path(__file__).resolve().parents[2] / "docs/operating.md").read_text()

PROMISED = {
    "http_requests_total": "counter",
    "http_request_duration_seconds": "histogram",
    "db_query_duration_seconds": "histogram",
    "redis_operation_duration_seconds": "histogram",
    "event_registrations_total": "counter",
    "event_available_slots": "gauge",
    "login_attempts_total": "counter",
    "active_sessions": "gauge",
    "line_depth": "gauge",
    "line_oldest_waiting_seconds": "gauge",
    "line_decided_total": "counter",
    "line_accept_to_decide_seconds": "histogram",
    "line_arrival_reissued_total": "counter",
    "line_oversells_total": "counter",
    "line_order_inversions_total": "counter",
    "line_claims": "gauge",
}


def documented() -> dict[str, str]:
    """Name → type, of the table in docs/operating.md."""
    rows = re.findall(
        r"^\| `([a-z_]+)` \| (counter|gauge|histogram) \| ([a-z_, ]*) ?\| .+ \|$", OPERATING, re.MULTILINE
    )
    return {name: kind for name, kind, _ in rows}


def test_what_is_promised_is_there(client):
    found = Scrape(client.get("/metrics").text).types
    assert {name: found.get(name) for name in PROMISED} == PROMISED


def test_the_documents_name_what_is_there_and_nothing_else(client):
    assert documented() == Scrape(client.get("/metrics").text).types


def test_alarms_are_built_on_what_is_there(client):
    alarms = re.findall(r"^\| `(Guichet\w+)` \| (.+?) \| .+ \|$", OPERATING, re.MULTILINE)
    assert len(alarms) == len(dict(alarms)) >= 10
    named = {name for _, expression in alarms for name in re.findall(r"[a-z]+(?:_[a-z]+)+", expression)}
    functions = {"max_over_time", "histogram_quantile", "status_code"}
    known = {*documented(), *(f"{name}_bucket" for name in documented()), *functions}
    assert named - known == set()
