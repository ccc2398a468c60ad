"""`guichet audit` of the line: Redis is compared with the ledger while it still knows."""

import base64
import uuid

import orjson
import pytest
from redis import Redis
from sqlalchemy import Engine, text

from scripts.audit import run_audit
from shared.db import transaction
from shared.domain.ledger import LedgerRow
from shared.domain.results import result_document
from shared.ids import uuid7
from shared.line import keys
from shared.line.installation import initialise
from shared.services.audit import Tally, audit_line
from shared.settings import Settings
from shared.store.line_state import get_installation
from tests.auditing import only, places, write_ledgers
from tests.ledgers import TruthfulLedger, add_users


@pytest.fixture
def ledger(engine: Engine) -> TruthfulLedger:
    return write_ledgers(engine, list(add_users(engine, 12)))


@pytest.fixture
def line(engine: Engine, ledger: TruthfulLedger, redis_client: "Redis") -> "Redis":
    """Redis as the worker leaves it: every decided job finished, with its reply."""
    with engine.connect() as connection:
        installation = get_installation(connection)  # type: ignore[arg-type]
    initialise(redis_client, installation, {})
    for row in ledger.rows:
        if row.arrival is not None:
            put_job(redis_client, row.job_id, status="finished", result=reply_of(row))
    redis_client.hset(keys.arrivals(7), "7", ledger.event.last_arrival)
    redis_client.hset(keys.decided(7), "7", ledger.event.last_arrival)
    return redis_client


def reply_of(row: LedgerRow) -> dict[str, object]:
    return result_document(row, None)


def put_job(redis: "Redis", job_id: uuid.UUID, *, status: str, result: object = None) -> None:
    redis.hset(keys.job(str(job_id)), mapping={"status": status, "origin": "bookings-7", "data": "[]"})
    if result is not None:
        redis.delete(keys.result(str(job_id)))
        redis.xadd(
            keys.result(str(job_id)), {"type": "1", "return_value": base64.b64encode(orjson.dumps(result))}
        )


class TestALongLook:
    def test_outlives_the_limit_of_an_idle_transaction(
        self, settings: Settings, engine: Engine, ledger: TruthfulLedger, line: "Redis"
    ) -> None:
        """Minutes pass in Redis where a million wait, and PostgreSQL hears nothing meanwhile."""
        tally = Tally()
        with transaction(engine) as session:
            session.execute(text("set local idle_in_transaction_session_timeout = '1s'"))
            line.execute_command("CLIENT", "PAUSE", 2_000)
            audit_line(session, line, tally)
        assert (tally.ok, tally.examined["line_revocations"]) == (True, 0)


class TestTheLine:
    def test_that_tells_the_truth_passes(
        self, settings: Settings, ledger: TruthfulLedger, line: "Redis"
    ) -> None:
        waiting, flying = uuid7(), uuid7()
        put_job(line, waiting, status="queued")
        put_job(line, flying, status="started")
        line.rpush(keys.queue(7), str(waiting))
        line.rpush(keys.in_flight(7), str(flying))
        line.zadd(keys.started(7), {f"{flying}{keys.EXECUTION_SUFFIX}": "inf"})
        line.hset("rq:job:task", mapping={"status": "finished", "origin": "tasks"})
        line.hset("rq:job:broken", mapping={"status": "finished"})
        line.hset("rq:job:other", mapping={"status": "finished", "origin": "bookings-x"})
        tally = run_audit(settings)
        assert tally.findings == []
        assert tally.examined["line_status"] == 7
        assert tally.examined["line_waiting"] == 1
        assert tally.notes["in flight"] == 1
        assert run_audit(settings, event_id=9).examined["line_status"] == 0

    def test_a_status_that_is_not_the_ledgers(
        self, settings: Settings, ledger: TruthfulLedger, line: "Redis"
    ) -> None:
        row = ledger.rows[5]
        put_job(
            line, row.job_id, status="failed", result=reply_of(row) | {"outcome": "confirmed", "number": 1}
        )
        found = {(f.check, f.number, f.job_id, f.what, f.found) for f in run_audit(settings).findings}
        place = ("line_status", 6, row.job_id)
        assert found == {
            (*place, "status", "failed"),
            (*place, "outcome", "confirmed"),
            (*place, "number", 1),
        }

    def test_a_decision_that_the_ledger_does_not_know(
        self, settings: Settings, ledger: TruthfulLedger, line: "Redis"
    ) -> None:
        job = uuid7()
        put_job(line, job, status="finished", result={"outcome": "confirmed"})
        finding = only(run_audit(settings))
        assert (finding.check, finding.job_id, finding.what) == ("line_status", job, "ledger row")

    def test_a_reply_that_has_expired_or_is_unreadable_is_no_fault(
        self, settings: Settings, ledger: TruthfulLedger, line: "Redis"
    ) -> None:
        line.delete(keys.result(str(ledger.rows[1].job_id)))
        put_job(line, ledger.rows[2].job_id, status="finished", result=[1])
        assert run_audit(settings).ok

    def test_a_decided_request_that_still_waits(
        self, settings: Settings, ledger: TruthfulLedger, line: "Redis"
    ) -> None:
        row = ledger.rows[2]
        put_job(line, row.job_id, status="queued")
        line.rpush(keys.queue(7), str(row.job_id))
        assert places(run_audit(settings)) == {("line_waiting", 3)}

    def test_a_reply_under_way_is_a_note(
        self, settings: Settings, ledger: TruthfulLedger, line: "Redis"
    ) -> None:
        row = ledger.rows[2]
        put_job(line, row.job_id, status="started")
        line.rpush(keys.in_flight(7), str(row.job_id))
        line.zadd(keys.started(7), {f"{row.job_id}{keys.EXECUTION_SUFFIX}": "inf"})
        tally = run_audit(settings)
        assert tally.ok
        assert tally.notes["decided, reply under way"] == 1

    def test_an_accepted_job_in_no_list_is_lost(
        self, settings: Settings, ledger: TruthfulLedger, line: "Redis"
    ) -> None:
        job = uuid7()
        put_job(line, job, status="queued")
        finding = only(run_audit(settings))
        assert (finding.check, finding.job_id) == ("lost", job)

    def test_a_job_that_was_set_aside_is_lost_unless_decided(
        self, settings: Settings, ledger: TruthfulLedger, line: "Redis"
    ) -> None:
        line.rpush(keys.lost(7), str(ledger.rows[1].job_id), "gibberish")
        assert only(run_audit(settings)).what == "job gibberish"

    @pytest.mark.parametrize(("key", "value"), [(keys.decided(7), 99), (keys.arrivals(7), 3)])
    def test_counters_that_disagree(
        self, settings: Settings, ledger: TruthfulLedger, line: "Redis", key: str, value: int
    ) -> None:
        line.hset(key, "7", value)
        finding = only(run_audit(settings))
        assert (finding.check, finding.event_id, finding.found) == ("line_counters", 7, value)
        assert run_audit(settings, event_id=15).ok  # of the same partition

    def test_an_empty_redis_is_a_note(self, settings: Settings, ledger: TruthfulLedger) -> None:
        tally = run_audit(settings)
        assert tally.ok
        assert len(tally.notes) == 1

    def test_a_redis_of_another_installation(
        self, settings: Settings, ledger: TruthfulLedger, line: "Redis"
    ) -> None:
        line.set(keys.INSTALLATION, "another:8")
        assert only(run_audit(settings)).what == "installation"
