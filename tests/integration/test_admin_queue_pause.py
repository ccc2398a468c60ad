"""An admin pauses the line: once the pause is answered nothing more is decided, until it ends."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select, text

from scripts.audit import run_audit
from shared.clock import parse_rfc3339, rfc3339
from shared.db import transaction
from shared.line import keys
from shared.models import AuditLogEntry, LineState
from shared.store.clock import read_clock
from shared.store.line_state import find_pause
from tests.factories import auth_header, make_event, make_user
from tests.ledgers import add_users
from tests.lines import await_that, worker_process
from tests.standing import StandingLine

PAUSE, RESUME = "/api/admin/queue/pause", "/api/admin/queue/resume"
REASON = "The printer is on fire."


@pytest.fixture
def post(client, as_admin) -> Callable[..., dict[str, Any]]:
    def over_http(url: str, **body: Any) -> dict[str, Any]:
        answer = client.post(url, json=body, headers=as_admin)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        document: dict[str, Any] = answer.json
        return document

    return over_http


def in_seconds(engine: Engine, seconds: float) -> str:
    """By PostgreSQL's clock, which ends a pause."""
    with transaction(engine) as session:
        return rfc3339(read_clock(session) + timedelta(seconds=seconds))


def actions(engine: Engine) -> list[tuple[str, str | None]]:
    with transaction(engine) as session:
        entries = session.scalars(
            select(AuditLogEntry).where(AuditLogEntry.target_type == "line").order_by(AuditLogEntry.id)
        )
        return [(entry.action, entry.reason) for entry in entries]


class TestPause:
    def test_is_answered_shown_and_written_down(self, app, client, post, engine, line):
        app.extensions["guichet"].snapshots.refresh_once()
        user, event = make_user(engine), make_event(engine)
        headers = auth_header(app, user)
        document = post(PAUSE, reason=REASON)
        since = document["paused"].pop("since")
        by = document["paused"].pop("by")
        assert document == {"state": "paused", "paused": {"reason": REASON, "resume_at": None}}
        assert by["id"] > 0
        asked = client.post(f"/api/bookings/{event.id}/book", headers=headers)
        assert asked.status_code == 202  # still accepted
        shown = client.get(asked.json["links"]["status"], headers=headers).json["paused"]
        assert shown == {"reason": REASON, "since": since, "resume_at": None}  # by this process at once
        line.driver.claim()
        assert line.driver.decide(line.partition_of(event)) == "paused"

        assert post(RESUME, reason="It is out.") == {"state": "running", "paused": None}
        assert client.get(asked.json["links"]["status"], headers=headers).json["paused"] is None
        assert line.driver.decide(line.partition_of(event)) == 1
        assert actions(engine) == [("line.pause", REASON), ("line.resume", "It is out.")]

    def test_needs_no_body(self, client, as_admin, engine):
        assert client.post(PAUSE, headers=as_admin).json["paused"]["reason"] is None
        assert client.post(RESUME, headers=as_admin).json["state"] == "running"

    def test_again_changes_reason_and_end(self, post, engine):
        since = post(PAUSE, reason="first")["paused"]["since"]
        end = in_seconds(engine, 3600)
        document = post(PAUSE, reason="second", resume_at=end)
        assert document["paused"]["since"] == since
        assert (document["paused"]["reason"], document["paused"]["resume_at"]) == ("second", end)

    def test_resuming_a_running_line_changes_nothing(self, post, engine):
        assert post(RESUME, reason="why not") == {"state": "running", "paused": None}
        assert actions(engine) == []

    def test_that_cannot_be_had_in_time(self, client, as_admin, engine, monkeypatch):
        """A batch that never ends holds the row; the line goes on."""
        monkeypatch.setattr("shared.services.line_pause.LOCK_SECONDS", 1)
        with engine.connect() as connection, connection.begin():
            connection.execute(text("select * from line_state for share"))
            for url in (PAUSE, RESUME):
                answer = client.post(url, headers=as_admin)
                assert (answer.status_code, answer.json["code"]) == (503, "line_busy")
                assert int(answer.headers["Retry-After"]) > 0
        with transaction(engine) as session:
            assert find_pause(session) is None
        assert actions(engine) == []

    def test_bad_input_changes_nothing(self, client, as_admin, engine):
        for body in (
            {"resume_at": in_seconds(engine, -1)},
            {"resume_at": "2000-01-01T00:00:00Z"},
            {"resume_at": "tomorrow"},
            {"resume_at": 5},
            {"reason": ""},
            {"reason": "   "},
            {"reason": "x" * 201},
            {"reason": "\x00"},
            {"reason": 5},
            {"until": "2090-01-01T00:00:00Z"},
        ):
            answer = client.post(PAUSE, json=body, headers=as_admin)
            assert (answer.status_code, answer.json["code"]) == (422, "validation_failed"), body
        for body in ({"reason": ""}, {"resume_at": "2090-01-01T00:00:00Z"}):
            assert client.post(RESUME, json=body, headers=as_admin).status_code == 422
        with transaction(engine) as session:
            assert session.scalar(select(LineState.paused)) is False
        assert actions(engine) == []


class Load:
    """Thousands who wait, and a worker process that decides them a few at a time."""

    COUNT = 4_000

    def __init__(self, line: StandingLine) -> None:
        self.line = line
        self.jobs: list[str] = []
        events = [make_event(line.engine, capacity=self.COUNT) for _ in range(4)]
        users = add_users(line.engine, self.COUNT)
        for number, event in enumerate(events):
            self.jobs += line.stand_as(event, users[number::4])

    def count(self) -> tuple[int, int]:
        """Rows of all ledgers, and the sum of their last numbers."""
        with self.line.engine.connect() as connection:
            query = "select count(*), (select sum(last_number) from events) from decisions"
            rows, numbers = connection.execute(text(query)).one()
            return int(rows), int(numbers)

    def waiting(self) -> int:
        return sum(
            self.line.redis.llen(key(partition))
            for partition in range(8)
            for key in (keys.queue, keys.in_flight)
        )

    def await_decisions(self, more_than: int) -> None:
        await_that(lambda: self.count()[0] > more_than, seconds=60, what=f"more than {more_than} decisions")

    def await_beats(self, count: int = 3) -> None:
        """The worker lives and has looked at the line again and again."""
        for _ in range(count):
            first = self._heartbeat()
            await_that(lambda first=first: self._heartbeat() != first, what="a heartbeat")

    def _heartbeat(self) -> bytes | None:
        names = self.line.redis.zrange(keys.LIVE_WORKERS, 0, -1)
        return self.line.redis.hget(keys.worker(names[0].decode()), "last_heartbeat") if names else None


class TestUnderLoad:
    @pytest.fixture
    def load(self, line) -> Load:
        return Load(line)

    def test_without_a_pause_it_goes_on(self, load, settings, client, as_admin):
        """The negative control of the next one."""
        with worker_process(replace(settings, batch_max=2)):
            load.await_decisions(more_than=50)
            assert client.get("/api/admin/queue/stats", headers=as_admin).json["state"] == "running"
            before = load.count()
            assert load.waiting() > 0
            load.await_beats()
            assert load.count() > before

    def test_nothing_is_decided_once_it_is_answered(self, load, settings, client, as_admin, engine, post):
        with worker_process(replace(settings, batch_max=2)):
            load.await_decisions(more_than=50)
            post(PAUSE, reason=REASON)
            after_answer = load.count()
            assert load.waiting() > 0
            load.await_beats()
            assert load.count() == after_answer
            document = client.get("/api/admin/queue/stats", headers=as_admin).json
            assert document["healthy"] is True
            assert document["decided_per_second"] == 0

            end = in_seconds(engine, 1)
            post(PAUSE, reason=REASON, resume_at=end)
            load.await_decisions(more_than=after_answer[0])
            with engine.connect() as connection:
                query = text("select min(decided_at) from decisions where decided_at > :end")
                first = connection.scalar(query, {"end": parse_rfc3339(end)})
                between = text("select count(*) from decisions where decided_at <= :end")
                assert connection.scalar(between, {"end": parse_rfc3339(end)}) == after_answer[0]
            assert first is not None
            await_that(lambda: load.waiting() == 0, seconds=120, what="an empty line")
        tally = run_audit(settings)
        assert tally.ok, tally.findings
        assert client.get("/api/admin/queue/stats", headers=as_admin).json["state"] == "running"
