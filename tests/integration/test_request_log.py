"""One request can be followed through the logs of API and worker: by its request id, and by its job id."""

import http.client
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.clock import EPOCH
from shared.domain.requests import decode_payload, decode_request
from shared.line import keys
from shared.logs import JsonFormatter, run_id_var
from shared.services.line import LineClient
from shared.services.line_gate import LineGate
from tests.factories import auth_header, bearer, make_event, make_user
from tests.lines import LineDriver, await_that, worker_process
from tests.web_servers import gunicorn
from worker.schedule import Schedule


def lines_of(text: str) -> list[dict[str, Any]]:
    """Every line is one JSON object; anything else fails here."""
    return [orjson.loads(line) for line in text.splitlines() if line]


@pytest.fixture
def read_access(capfd):
    """The access lines since the last call."""
    return lambda: [line for line in lines_of(capfd.readouterr().err) if line["logger"] == "access"]


class TestAccessLine:
    def test_says_what_was_asked_and_answered(self, app, client, engine, read_access):
        event, user = make_event(engine), make_user(engine)
        answer = client.post(
            f"/api/bookings/{event.id}/book", headers={**auth_header(app, user), "X-Request-ID": "trace-1"}
        )
        (line,) = read_access()
        assert line.pop("at").endswith("Z")
        assert line.pop("duration_ms") > 0
        assert line == {
            "level": "info",
            "logger": "access",
            "message": "request",
            "request_id": "trace-1",
            "method": "POST",
            "route": "/api/bookings/<int:event_id>/book",
            "path": f"/api/bookings/{event.id}/book",
            "status": 202,
            "user_id": user.id,
            "job_id": answer.json["job_id"],
            "address": "127.0.0.1",
        }

    def test_of_who_gave_no_id_has_the_jobs(self, app, client, engine, redis_client, read_access):
        event, user = make_event(engine), make_user(engine)
        answer = client.post(f"/api/bookings/{event.id}/book", headers=auth_header(app, user))
        job_id = answer.json["job_id"]
        (line,) = read_access()
        assert line["request_id"] == answer.headers["X-Request-ID"] == job_id.replace("-", "")
        data = redis_client.hget(keys.job(job_id), "data")
        assert "request_id" not in decode_payload(data)
        request = decode_request(job_id, data, arrival=1, accepted_at=EPOCH, withdrawn=False)
        assert request.request_id == line["request_id"]

    def test_names_the_job_that_is_asked_for(self, app, client, engine, read_access):
        user = make_user(engine)
        job_id = "01890000-0000-7000-8000-000000000000"
        client.get(f"/api/bookings/status/{job_id}", headers=auth_header(app, user))
        (line,) = read_access()
        assert (line["job_id"], line["status"]) == (job_id, 404)

    def test_never_shows_a_query_string(self, app, client, engine, read_access, capfd):
        """It may carry a stream token."""
        event, user = make_event(engine), make_user(engine)
        answer = client.post(f"/api/bookings/{event.id}/book", headers=auth_header(app, user))
        stream = answer.json["links"]["stream"]
        token = stream.partition("?")[2]
        assert len(token) > 20
        read_access()
        client.get(f"{stream[:-1]}x").close()
        client.get(f"/nowhere?{token}")
        found = capfd.readouterr().err
        assert token not in found
        assert token[-20:-1] not in found
        assert [line["path"] for line in lines_of(found)] == [stream.partition("?")[0], "/nowhere"]

    def test_is_one_line_of_json_whatever_the_path(self, client, read_access):
        client.get("/a%0Ab%00%22%ff" + "x" * 5000)
        client.get("/caf%C3%A9")
        first, second = read_access()
        assert first["path"].startswith('/a\nb\x00"')
        assert len(first["path"]) <= 500
        assert second["path"] == "/café"

    def test_is_written_for_refusals_and_for_errors_of_ours(self, client, app, read_access, monkeypatch):
        client.post("/api/auth/login", data=b"{", content_type="application/json")
        monkeypatch.setitem(app.view_functions, "health.alive", lambda: 1 / 0)
        client.get("/healthz")
        assert [line["status"] for line in read_access()] == [400, 500]

    def test_can_be_switched_off(self, make_app, settings, read_access):
        make_app(replace(settings, access_log=False)).test_client().get("/healthz")
        assert read_access() == []

    def test_a_busy_process_writes_many_at_once_and_tears_none_apart(self, app, client, capfd):
        log = app.extensions["guichet"].access_log
        log._buffers = True
        for _ in range(150):
            client.get("/healthz")
        assert capfd.readouterr().err == ""
        log.flush()
        assert len(lines_of(capfd.readouterr().err)) == 150


class TestFollowing:
    def test_a_request_from_http_to_its_decision(self, settings, engine, tmp_path: Path):
        """With the logs of real processes, and nothing but `grep`."""
        talking = replace(settings, log_level="INFO")
        web_log, worker_log = tmp_path / "web.log", tmp_path / "worker.log"
        event, user = make_event(engine), make_user(engine)
        with gunicorn(talking, web_log, processes=2) as port, worker_process(talking, log=worker_log):
            job_id = post(port, f"/api/bookings/{event.id}/book", bearer(settings, user), "follow-me")
            await_that(lambda: "follow-me" in worker_log.read_text(), what="the worker's line")
            await_that(lambda: "follow-me" in web_log.read_text(), what="the API's line")
        (accepted,) = [line for line in grep(web_log, "follow-me") if line["logger"] == "access"]
        assert (accepted["status"], accepted["job_id"], accepted["user_id"]) == (201, job_id, user.id)
        (decided,) = grep(worker_log, job_id)
        assert decided["message"] == "decided"
        assert (decided["partition"], decided["count"]) == (event.id % 8, 1)
        assert decided["outcomes"] == {"confirmed": 1}
        assert decided["jobs"] == [[job_id, "follow-me", "confirmed"]]
        assert decided["seconds"] > 0
        for log in (web_log, worker_log):  # gunicorn's own lines too
            assert all(line["message"] for line in lines_of(log.read_text()))

    def test_what_is_set_aside_and_what_is_quarantined(
        self, app, client, engine, settings, caplog, monkeypatch
    ):
        event, user = make_event(engine), make_user(engine)
        headers = {**auth_header(app, user), "X-Request-ID": "poison-1"}
        job_id = client.post(f"/api/bookings/{event.id}/book", headers=headers).json["job_id"]
        monkeypatch.setattr("shared.domain.allocation.judge_book", lambda *_: 1 / 0)
        driver = LineDriver(settings, engine)
        with caplog.at_level("INFO"):
            with pytest.raises(Exception, match=job_id):
                driver.decide_all()
            driver.session.rollback()
            driver.decide_all()
            driver.close()
        about = [orjson.loads(JsonFormatter().format(record)) for record in caplog.records]
        quarantine, decided = [line for line in about if job_id in json.dumps(line)][:2]
        assert quarantine["message"].startswith("quarantine")
        assert (quarantine["job_id"], quarantine["request_id"]) == (job_id, "poison-1")
        assert decided["jobs"] == [[job_id, "poison-1", "failed"]]

    def test_arrivals_that_were_issued_again(self, app, client, engine, settings, caplog, redis_client):
        event, user = make_event(engine), make_user(engine)
        redis_client.hset(keys.arrivals(event.id % 8), event.id, 6)
        headers = {**auth_header(app, user), "X-Request-ID": "again-1"}
        job_id = client.post(f"/api/bookings/{event.id}/book", headers=headers).json["job_id"]
        driver = LineDriver(settings, engine)
        driver.decide_all()
        driver.close()
        (record,) = [record for record in caplog.records if "issued again" in record.message]
        assert record.jobs == [[job_id, "again-1"]]


class TestSchedule:
    def test_every_line_of_a_turn_has_its_run_id(self, settings, engine, redis_client, caplog, monkeypatch):
        monkeypatch.setattr("shared.services.ledger_watch.watch_ledger", lambda *_: 1 / 0)
        line = LineClient(settings, redis_client, LineGate(settings, engine, redis_client))
        schedule = Schedule(settings, engine, line, redis_client, handlers=())
        seen = []
        caplog.handler.addFilter(lambda record: seen.append((record.message, run_id_var.get())) or True)
        schedule.run_once()
        line.runner.close()
        ((_, run_id),) = [(what, run_id) for what, run_id in seen if what == "schedule entry failed"]
        assert run_id == redis_client.get(keys.schedule_turn("watch_ledger")).decode()
        assert run_id_var.get() is None


def post(port: int, path: str, headers: dict[str, str], request_id: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", path, headers={**headers, "X-Request-ID": request_id, "Prefer": "wait=20"})
    answer = connection.getresponse()
    body = orjson.loads(answer.read())
    assert answer.status == 201, body
    assert answer.headers["X-Request-ID"] == request_id
    connection.close()
    return str(body["job_id"])


def grep(log: Path, word: str) -> list[dict[str, Any]]:
    return lines_of("\n".join(line for line in log.read_text().splitlines() if word in line))
