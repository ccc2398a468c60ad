"""`guichet audit`: a truthful database passes, and every fault planted is found at its row."""

import base64
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner
from redis import Redis
from sqlalchemy import Engine, text

from scripts.audit import command, run_audit
from shared.domain.findings import Finding
from shared.domain.ledger import LedgerRow
from shared.domain.results import result_document
from shared.ids import uuid7
from shared.line import keys
from shared.line.installation import initialise
from shared.services.audit import Tally, audit_tables, snapshot_transaction
from shared.services.audit.findings import KEPT_PER_CHECK
from shared.settings import Settings
from shared.store.line_state import get_installation
from tests.ledgers import TruthfulLedger, add_users

Places = set[tuple[str, int | None]]


@pytest.fixture
def users(engine: Engine) -> list[int]:
    """Twelve people."""
    return list(add_users(engine, 12))


@pytest.fixture
def ledger(engine: Engine, users: list[int]) -> TruthfulLedger:
    """Event 7: set, four bookings (2…5), sold out (6), one cancelled (7), one more (8); beside it event 9."""
    ledger = TruthfulLedger(event_id=7, host_id=users[0], capacity=6)
    first = ledger.book(users[1], 2)
    for user in users[2:5]:
        ledger.book(user, 1 if user != users[2] else 2)
    ledger.book(users[5])
    ledger.cancel(users[1], first.booking_id)
    ledger.book(users[5], 2)
    ledger.write(engine)
    other = TruthfulLedger(event_id=9, host_id=users[0])
    other.book(users[1])
    other.book(users[2])
    other.call_off()
    other.write(engine)
    return ledger


@pytest.fixture
def tamper(engine: Engine) -> Callable[..., None]:
    """Changes the database behind everybody's back: no triggers, no foreign keys."""

    def run(statement: str, **values: object) -> None:
        with engine.begin() as connection:
            connection.execute(text("set local session_replication_role = replica"))
            assert connection.execute(text(statement), values).rowcount != 0

    return run


def audit(engine: Engine, event_id: int | None = None) -> Tally:
    tally = Tally()
    with snapshot_transaction(engine) as session:
        audit_tables(session, tally, event_id=event_id)
    return tally


def places(tally: Tally) -> Places:
    return {(finding.check, finding.number) for finding in tally.findings}


def only(tally: Tally) -> Finding:
    assert len(tally.findings) == 1, tally.findings
    return tally.findings[0]


class TestTruthfulDatabase:
    def test_passes(self, engine: Engine, ledger: TruthfulLedger) -> None:
        tally = audit(engine)
        assert tally.findings == []
        assert tally.ok
        assert tally.examined["rules"] == len(ledger.rows) + 6
        assert tally.examined["bookings"] == 7

    def test_one_event_may_be_looked_at_alone(
        self, engine: Engine, ledger: TruthfulLedger, tamper: Callable[..., None]
    ) -> None:
        tamper("update events set booked = 1 where id = 9")
        assert audit(engine, event_id=7).ok
        assert not audit(engine, event_id=9).ok

    def test_takes_no_lock_that_a_worker_waits_for(self, engine: Engine, ledger: TruthfulLedger) -> None:
        with engine.begin() as worker:
            worker.execute(text("select from events for update"))
            worker.execute(text("update events set title = 'meanwhile'"))
            assert audit(engine).ok

    def test_a_call_off_under_way_is_a_note(self, engine: Engine, users: list[int]) -> None:
        ledger = TruthfulLedger(event_id=3, host_id=users[0])
        ledger.book(users[1])
        ledger.call_off()
        ledger.rows.pop()
        ledger.event.last_number, ledger.event.last_hash = ledger.rows[-1].number, ledger.rows[-1].hash
        ledger.event.last_arrival -= 1
        ledger.write(engine)
        tally = audit(engine)
        assert tally.ok
        assert tally.notes["call-offs under way"] == 1

    def test_reissued_arrivals_and_clock_steps_are_notes(self, engine: Engine, users: list[int]) -> None:
        ledger = TruthfulLedger(event_id=3, host_id=users[0])
        ledger.book(users[1])
        ledger.book(users[2], accepted_at=ledger.now - timedelta(minutes=1))
        ledger.write(engine)
        with engine.begin() as connection:
            connection.execute(text("update events set arrivals_reissued = 4"))
        tally = audit(engine)
        assert tally.ok
        assert sorted(tally.notes.values()) == [1, 4]


class TestFaultsInTheLedger:
    def test_a_changed_row(self, engine: Engine, ledger: TruthfulLedger, tamper: Callable[..., None]) -> None:
        row = ledger.rows[5]
        tamper("update decisions set reason = 'sales_closed' where job_id = :id", id=row.job_id)
        findings = {(f.check, f.event_id, f.number, f.job_id, f.what) for f in audit(engine).findings}
        assert findings == {("rules", 7, 6, row.job_id, "reason"), ("chain", 7, 6, row.job_id, "hash")}

    def test_a_changed_user(
        self, engine: Engine, ledger: TruthfulLedger, tamper: Callable[..., None]
    ) -> None:
        tamper("update decisions set user_id = user_id + 5 where event_id = 7 and number = 3")
        finding = only(audit(engine))
        assert (finding.check, finding.job_id) == ("bookings", ledger.rows[2].job_id)
        assert finding.what.endswith("user_id")

    def test_a_deleted_row(self, engine: Engine, ledger: TruthfulLedger, tamper: Callable[..., None]) -> None:
        tamper("delete from decisions where event_id = 7 and number = 6")
        assert places(audit(engine)) == {("numbers", 7), ("arrivals", 7), ("chain", 7)}

    def test_a_deleted_last_row(
        self, engine: Engine, ledger: TruthfulLedger, tamper: Callable[..., None]
    ) -> None:
        tamper("delete from decisions where event_id = 7 and number = 8")
        found = {(f.check, f.what) for f in audit(engine).findings}
        heads = {("event_head", name) for name in ("last_number", "last_hash", "last_arrival")}
        booking = ledger.rows[7].booking_id
        assert found == heads | {("event_counters", "booked"), ("bookings", f"booking {booking}")}

    def test_a_hole_in_the_numbers(
        self, engine: Engine, ledger: TruthfulLedger, tamper: Callable[..., None]
    ) -> None:
        tamper("update decisions set number = 9 where event_id = 7 and number = 8")
        assert ("numbers", 9) in places(audit(engine))

    def test_a_swapped_order(
        self, engine: Engine, ledger: TruthfulLedger, tamper: Callable[..., None]
    ) -> None:
        tamper("update decisions set number = 100 where event_id = 7 and number = 2")
        tamper("update decisions set number = 2 where event_id = 7 and number = 3")
        tamper("update decisions set number = 3 where event_id = 7 and number = 100")
        found = [(f.number, f.expected, f.found) for f in audit(engine).findings if f.check == "arrivals"]
        assert found == [(2, 1, 2), (3, 3, 1), (4, 2, 3)]

    def test_a_broken_chain(
        self, engine: Engine, ledger: TruthfulLedger, tamper: Callable[..., None]
    ) -> None:
        tamper("update decisions set hash = sha256('x') where event_id = 7 and number = 4")
        finding = only(audit(engine))
        assert (finding.check, finding.event_id, finding.number) == ("chain", 7, 4)
        assert finding.expected == ledger.rows[3].hash.hex()

    def test_an_oversell_that_every_table_agrees_on(
        self, engine: Engine, ledger: TruthfulLedger, users: list[int], tamper: Callable[..., None]
    ) -> None:
        over = TruthfulLedger(event_id=3, host_id=users[0], capacity=1)
        over.book(users[1])
        over.event.capacity = 2  # a worker that believes in a capacity that nobody set
        over.book(users[2])
        over.event.capacity = 1
        with engine.begin() as connection:
            connection.execute(text("alter table events drop constraint events_never_oversold"))
        over.write(engine)
        tally = audit(engine)
        assert places(tally) == {("oversell", 3), ("rules", 3), ("oversell", None)}
        assert {f.event_id for f in tally.findings} == {3}

    def test_rows_of_no_event(
        self, engine: Engine, ledger: TruthfulLedger, tamper: Callable[..., None]
    ) -> None:
        tamper("delete from events where id = 9")
        assert {(f.check, f.event_id) for f in audit(engine).findings} == {("rules", 9), ("bookings", 9)}

    def test_an_event_without_a_ledger(self, engine: Engine, users: list[int]) -> None:
        ledger = TruthfulLedger(event_id=3, host_id=users[0])
        ledger.write(engine)
        with engine.begin() as connection:
            connection.execute(text("set local session_replication_role = replica"))
            connection.execute(text("delete from decisions"))
        assert ("event_fields", "event_set") in {(f.check, f.what) for f in audit(engine).findings}


class TestFaultsInTheTables:
    @pytest.mark.parametrize(
        ("change", "check", "what"),
        [
            ("last_number = 99", "event_head", "last_number"),
            ("last_hash = sha256('x')", "event_head", "last_hash"),
            ("last_arrival = 99", "event_head", "last_arrival"),
            ("capacity = 99", "event_fields", "capacity"),
            ("max_per_booking = 1", "event_fields", "max_per_booking"),
            ("status = 'draft'", "event_fields", "status"),
            ("deleted_at = now()", "event_fields", "deleted"),
            (
                "starts_at = starts_at + interval '1s', ends_at = ends_at + interval '1d'",
                "event_fields",
                "starts_at",
            ),
            ("sales_open_at = created_at - interval '1y'", "event_fields", "sales_open_at"),
            ("sales_close_at = sales_close_at - interval '1s'", "event_fields", "sales_close_at"),
            ("sales_paused = true", "event_fields", "sales_paused"),
            ("price_minor = 1", "event_fields", "price_minor"),
            ("currency = 'CHF'", "event_fields", "currency"),
        ],
    )
    def test_an_event_changed_behind_the_ledgers_back(
        self,
        engine: Engine,
        ledger: TruthfulLedger,
        tamper: Callable[..., None],
        change: str,
        check: str,
        what: str,
    ) -> None:
        tamper(f"update events set {change} where id = 7")
        finding = only(audit(engine))
        assert (finding.check, finding.what, finding.event_id) == (check, what, 7)

    def test_a_counter_that_is_off(
        self, engine: Engine, ledger: TruthfulLedger, tamper: Callable[..., None]
    ) -> None:
        tamper("update events set booked = 5 where id = 7")
        found = {(f.check, f.what, f.expected, f.found) for f in audit(engine).findings}
        assert found == {("event_counters", "booked", 6, 5), ("event_counters", "sum of live bookings", 6, 5)}

    @pytest.mark.parametrize(
        "change", ["tickets = 3", "price_minor = 1", "currency = 'CHF'", "arrival = 99", "created_at = now()"]
    )
    def test_a_changed_booking(
        self, engine: Engine, ledger: TruthfulLedger, tamper: Callable[..., None], change: str
    ) -> None:
        booking = ledger.rows[2].booking_id
        tamper(f"update bookings set {change} where id = :id", id=booking)
        found = {(f.what, f.job_id) for f in audit(engine).findings if f.check == "bookings"}
        assert found == {(f"booking {booking}: {change.split(maxsplit=1)[0]}", ledger.rows[2].job_id)}

    def test_a_booking_of_another_job(
        self, engine: Engine, ledger: TruthfulLedger, tamper: Callable[..., None]
    ) -> None:
        tamper("update bookings set job_id = :job where id = :id", job=uuid7(), id=ledger.rows[2].booking_id)
        assert only(audit(engine)).what.endswith(": job_id")

    def test_a_booking_that_came_back_to_life(
        self, engine: Engine, ledger: TruthfulLedger, tamper: Callable[..., None]
    ) -> None:
        booking = ledger.rows[1].booking_id
        tamper("update bookings set status = 'confirmed', cancelled_at = null where id = :id", id=booking)
        found = {(f.check, f.what) for f in audit(engine).findings}
        assert found == {
            ("bookings", f"booking {booking}: status"),
            ("event_counters", "sum of live bookings"),
        }

    def test_a_missing_booking(
        self, engine: Engine, ledger: TruthfulLedger, tamper: Callable[..., None]
    ) -> None:
        booking = ledger.rows[2].booking_id
        tamper("delete from bookings where id = :id", id=booking)
        found = {(f.check, f.what, f.found) for f in audit(engine).findings}
        assert ("bookings", f"booking {booking}", None) in found

    def test_a_booking_too_many_and_a_second_live_one(
        self, engine: Engine, ledger: TruthfulLedger, users: list[int], tamper: Callable[..., None]
    ) -> None:
        job = uuid.UUID(int=2**127)
        tamper("drop index bookings_one_live_key")
        tamper(
            "insert into bookings (id, reference, event_id, user_id, job_id, tickets, status, price_minor, currency,"
            " arrival, created_at) values (:job, 'X', 7, :user, :job, 1, 'confirmed', 0, 'EUR', 3, now())",
            job=job,
            user=users[2],
        )
        found = {(f.check, f.job_id) for f in audit(engine).findings}
        assert found == {("bookings", job), ("one_live_booking", job), ("event_counters", None)}

    def test_a_missing_audit_row(
        self, engine: Engine, ledger: TruthfulLedger, tamper: Callable[..., None]
    ) -> None:
        tamper("delete from audit_log where job_id = :job", job=ledger.rows[0].job_id)
        finding = only(audit(engine))
        assert (finding.check, finding.number, finding.job_id) == ("audit_log", 1, ledger.rows[0].job_id)

    def test_an_audit_row_without_its_change(
        self, engine: Engine, ledger: TruthfulLedger, tamper: Callable[..., None]
    ) -> None:
        job = uuid7()
        tamper(
            "insert into audit_log (id, action, target_type, target_id, job_id) values (:id, 'x', 'event', '7', :id)",
            id=job,
        )
        assert only(audit(engine)).job_id == job
        assert audit(engine, event_id=9).ok

    def test_a_call_off_that_still_waits_is_no_fault(
        self, engine: Engine, ledger: TruthfulLedger, tamper: Callable[..., None]
    ) -> None:
        job = uuid7()
        tamper(
            "insert into audit_log (id, action, target_type, target_id, job_id) values (:id, 'x', 'event', '7', :id)",
            id=job,
        )
        tamper(
            "insert into control_requests (job_id, kind, event_id, acting_as) values (:id, 'call_off', 7, 'host')",
            id=job,
        )
        assert audit(engine).ok


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


class TestCommand:
    def run(self, settings: Settings, *options: str) -> tuple[int, str]:
        urls = ("--database-url", settings.database_url, "--redis-url", settings.redis_url)
        result = CliRunner().invoke(command, [*urls, *options], env={"COLUMNS": "200"})
        return result.exit_code, result.output

    def test_exits_0_and_says_so(self, settings: Settings, ledger: TruthfulLedger) -> None:
        code, output = self.run(settings)
        assert code == 0
        assert "Every promise holds." in output
        assert "note: Redis knows nothing" in output

    def test_exits_1_and_names_the_row(
        self, settings: Settings, ledger: TruthfulLedger, tamper: Callable[..., None]
    ) -> None:
        tamper("update decisions set reason = 'sales_closed' where event_id = 7 and number = 6")
        code, output = self.run(settings, "--show", "1")
        assert code == 1
        assert f"rules: event 7, number 6, job {ledger.rows[5].job_id}: reason: expected sold_out" in output
        assert "and 1 more" in output

    def test_writes_json(
        self, settings: Settings, ledger: TruthfulLedger, tamper: Callable[..., None]
    ) -> None:
        tamper(
            "update events set last_hash = sha256('x'), starts_at = now(), sales_close_at = now() where id = 7"
        )
        code, output = self.run(settings, "--json", "--event", "7")
        report = orjson.loads(output)
        assert code == 1
        assert not report["ok"]
        assert {finding["what"] for finding in report["findings"]} == {
            "last_hash",
            "starts_at",
            "sales_close_at",
        }

    def test_a_redis_that_is_away_is_a_note(self, settings: Settings, ledger: TruthfulLedger) -> None:
        options = ("--redis-url", "unix:///nowhere/redis.sock")
        code, output = self.run(settings, *options)
        assert code == 0
        assert "Redis did not answer" in output

    def test_needs_a_database(self, tmp_path: Path) -> None:
        result = CliRunner().invoke(command, [], env={"DATABASE_URL": "", "GUICHET_DATA": str(tmp_path)})
        assert result.exit_code == 1
        assert "DATABASE_URL is not set" in result.output


def test_a_million_findings_are_counted_and_a_thousand_kept() -> None:
    tally = Tally()
    for _ in range(KEPT_PER_CHECK + 5):
        tally.compare("chain", "hash", 1, 2)
    assert tally.failed["chain"] == KEPT_PER_CHECK + 5
    assert len(tally.findings) == KEPT_PER_CHECK
