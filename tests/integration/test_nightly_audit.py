"""The nightly check of all ledgers: due once a night, one at a time, its result where people look."""

import logging
from dataclasses import replace

import pytest
from rq import Queue, SimpleWorker
from rq.job import Job
from rq.serializers import JSONSerializer
from sqlalchemy import text

from shared.db import transaction
from shared.line import keys
from shared.services import ledger_audit
from shared.services.ledger_audit import audit_ledgers
from shared.services.line import LineClient
from shared.services.line_gate import LineGate
from tests.factories import auth_header, make_event, make_user
from tests.lines import environment_of
from worker import tasks
from worker.entries import TASK_QUEUE
from worker.schedule import Schedule


def hour_of(engine):
    with transaction(engine) as session:
        return int(session.scalar(text("select extract(hour from now() at time zone 'UTC')")))


@pytest.fixture
def make_schedule(settings, engine, redis_client):
    lines = []

    def make(hour):
        line = LineClient(settings, redis_client, LineGate(settings, engine, redis_client))
        lines.append(line)
        return Schedule(replace(settings, audit_hour=hour), engine, line, redis_client, handlers=())

    yield make
    for line in lines:
        line.runner.close()


def audits_queued(redis_client):
    queue = Queue(TASK_QUEUE, connection=redis_client, serializer=JSONSerializer)
    return [job_id for job_id in queue.job_ids if job_id.startswith("audit-")]


def take_turn(schedule, redis_client):
    redis_client.delete(keys.schedule_turn("audit_ledgers"))
    assert "audit_ledgers" in schedule.run_once()


def tamper(engine):
    with transaction(engine) as session:
        session.execute(text("update events set booked = booked + 1"))


def nights(engine):
    with transaction(engine) as session:
        return session.execute(text("select ended_at is not null, findings from ledger_audits")).all()


class TestWhenItIsDue:
    def test_in_its_hour_once(self, engine, redis_client, make_schedule):
        schedule = make_schedule(hour_of(engine))
        for _ in range(3):
            take_turn(schedule, redis_client)
        assert len(audits_queued(redis_client)) == 1

    def test_in_no_other(self, engine, redis_client, make_schedule):
        take_turn(make_schedule((hour_of(engine) + 12) % 24), redis_client)
        assert audits_queued(redis_client) == []

    def test_not_when_tonights_is_done(self, engine, redis_client, make_schedule):
        audit_ledgers(engine)
        take_turn(make_schedule(hour_of(engine)), redis_client)
        assert audits_queued(redis_client) == []

    def test_again_when_tonights_was_cut_off_and_redis_forgot(self, engine, redis_client, make_schedule):
        with transaction(engine) as session:
            session.execute(
                text("insert into ledger_audits (night) values ((now() at time zone 'UTC')::date)")
            )
        take_turn(make_schedule(hour_of(engine)), redis_client)
        assert len(audits_queued(redis_client)) == 1

    def test_a_task_that_comes_too_late_does_nothing(self, settings, engine, monkeypatch):
        """Queued behind one that took longer than an hour."""
        audit_ledgers(engine)
        for name, value in environment_of(settings).items():
            monkeypatch.setenv(name, value)
        assert tasks.audit_ledgers() is None

    def test_the_task_worker_runs_it(self, settings, engine, redis_client, make_schedule, monkeypatch):
        make_event(engine)
        take_turn(make_schedule(hour_of(engine)), redis_client)
        for name, value in environment_of(settings).items():
            monkeypatch.setenv(name, value)
        (job_id,) = audits_queued(redis_client)
        worker = SimpleWorker([TASK_QUEUE], connection=redis_client, serializer=JSONSerializer)
        worker.work(burst=True, logging_level=logging.WARNING)
        job = Job.fetch(job_id, connection=redis_client, serializer=JSONSerializer)
        assert job.return_value()["failed"] == {}
        assert job.return_value()["rows"] == 1
        assert nights(engine) == [(True, 0)]


class TestWhatItFinds:
    def test_nothing_on_a_truthful_ledger(self, engine, caplog):
        make_event(engine)
        with caplog.at_level(logging.INFO, "shared.services.ledger_audit"):
            run = audit_ledgers(engine)
        assert (run.rows, run.failed) == (1, {})
        assert [record.message for record in caplog.records] == ["ledger audit: every promise holds"]

    def test_what_was_tampered_with_in_logs_metrics_and_health(self, app, client, engine, caplog):
        event = make_event(engine)
        tamper(engine)
        run = audit_ledgers(engine)
        assert set(run.failed) >= {"event_counters"}
        found = sum(run.failed.values())
        assert [record.check for record in caplog.records if hasattr(record, "check")].count("event_counters")
        assert {record.event_id for record in caplog.records if hasattr(record, "event_id")} == {event.id}
        assert f"ledger_audit_findings {float(found)}" in client.get("/metrics").text.splitlines()
        admin = make_user(engine, role="admin")
        document = client.get("/api/admin/health", headers=auth_header(app, admin)).json
        assert document["ledger_audit"]["findings"] == found
        assert document["ledger_audit"]["ledger_rows"] == 1
        assert "ledger_audit" in document["warnings"]

    def test_once_more_it_replaces_what_it_found(self, engine):
        make_event(engine)
        tamper(engine)
        audit_ledgers(engine)
        with transaction(engine) as session:
            session.execute(text("update events set booked = booked - 1"))
        audit_ledgers(engine)
        assert nights(engine) == [(True, 0)]

    def test_nothing_is_said_before_the_first(self, app, client, engine):
        admin = make_user(engine, role="admin")
        document = client.get("/api/admin/health", headers=auth_header(app, admin)).json
        assert document["ledger_audit"] is None
        assert "ledger_audit" not in document["warnings"]
        assert "ledger_audit_timestamp_seconds 0.0" in client.get("/metrics").text.splitlines()


class TestOneAtATime:
    def audit_meanwhile(self, engine, monkeypatch):
        """What a second check says that begins while the first one reads."""
        second = []
        read = ledger_audit.audit_tables

        def read_slowly(session, tally):
            monkeypatch.setattr(ledger_audit, "audit_tables", read)
            second.append(audit_ledgers(engine))
            read(session, tally)

        monkeypatch.setattr(ledger_audit, "audit_tables", read_slowly)
        first = audit_ledgers(engine)
        return first, second[0]

    def test_a_second_one_does_nothing(self, engine, monkeypatch):
        first, second = self.audit_meanwhile(engine, monkeypatch)
        assert first is not None
        assert second is None

    def test_without_the_lock_both_would_run(self, engine, monkeypatch):
        monkeypatch.setattr(
            ledger_audit, "text", lambda sql: text(sql.replace("pg_try_advisory_lock(:key)", ":key > 0"))
        )
        _, second = self.audit_meanwhile(engine, monkeypatch)
        assert second is not None

    def test_the_lock_ends_with_the_check_however_it_ends(self, engine, monkeypatch):
        read = ledger_audit.audit_tables
        monkeypatch.setattr(ledger_audit, "audit_tables", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            audit_ledgers(engine)
        assert nights(engine) == [(False, None)]
        monkeypatch.setattr(ledger_audit, "audit_tables", read)
        assert audit_ledgers(engine) is not None
        assert nights(engine) == [(True, 0)]
