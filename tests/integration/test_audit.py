"""`guichet audit` of the tables: a truthful database passes, and every fault planted is found at its row."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, text

from scripts.audit import command
from shared.ids import uuid7
from shared.services.audit import Tally
from shared.services.audit.findings import KEPT_PER_CHECK
from shared.settings import Settings
from tests.auditing import audit, only, places, write_ledgers
from tests.ledgers import TruthfulLedger, add_users


@pytest.fixture
def users(engine: Engine) -> list[int]:
    """Twelve people."""
    return list(add_users(engine, 12))


@pytest.fixture
def ledger(engine: Engine, users: list[int]) -> TruthfulLedger:
    return write_ledgers(engine, users)


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
