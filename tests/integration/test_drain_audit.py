"""`guichet audit` knows drain marks: a truthful one passes, and every change behind the ledger's back is found."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from tests.auditing import audit
from tests.ledgers import TruthfulLedger, add_users


@pytest.fixture
def ledger(engine: Engine) -> TruthfulLedger:
    """Event 7: set, one booking (2), drained (3), two withdrawn (4, 5), one that came later (6)."""
    users = add_users(engine, 6)
    ledger = TruthfulLedger(event_id=7, host_id=users[0])
    ledger.book(users[1])
    ledger.drain(2, accepted_until=ledger.now + timedelta(seconds=2))
    for user in users[2:5]:
        ledger.book(user)
    ledger.write(engine)
    return ledger


def found(engine: Engine) -> set[tuple[str, int | None, str]]:
    return {(finding.check, finding.number, finding.what) for finding in audit(engine).findings}


def test_a_truthful_ledger_with_a_drain_passes(engine: Engine, ledger: TruthfulLedger) -> None:
    assert [row.outcome for row in ledger.rows[3:]] == ["withdrawn", "withdrawn", "confirmed"]
    tally = audit(engine)
    assert tally.findings == []
    assert tally.examined["audit_log"] == 2


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("drained_up_to = 2", "drained_up_to"),
        ("drained_up_to = 99", "drained_up_to"),
        ("drained_until = drained_until + interval '1s'", "drained_until"),
        ("drain_reason = 'Because.'", "drain_reason"),
    ],
)
def test_an_event_whose_mark_was_changed(
    engine: Engine, ledger: TruthfulLedger, tamper: Callable[..., None], change: str, what: str
) -> None:
    tamper(f"update events set {change} where id = 7")
    assert found(engine) == {("event_fields", None, what)}


def test_an_event_whose_mark_was_taken_off(
    engine: Engine, ledger: TruthfulLedger, tamper: Callable[..., None]
) -> None:
    tamper("update events set drained_up_to = 0, drained_until = null, drain_reason = null where id = 7")
    assert found(engine) == {
        ("event_fields", None, name) for name in ("drained_up_to", "drained_until", "drain_reason")
    }


def test_a_mark_that_stands_in_no_ledger(
    engine: Engine, ledger: TruthfulLedger, tamper: Callable[..., None]
) -> None:
    tamper("delete from decisions where number = 3")
    checks = {(check, number) for check, number, _ in found(engine)}
    assert {("numbers", 4), ("rules", 4), ("rules", 5), ("event_fields", None), ("audit_log", None)} <= checks


def test_a_mark_with_another_number(
    engine: Engine, ledger: TruthfulLedger, tamper: Callable[..., None]
) -> None:
    tamper("update decisions set facts = jsonb_set(facts, '{up_to_arrival}', '2') where number = 3")
    checks = {(check, number) for check, number, _ in found(engine)}
    assert checks == {("chain", 3), ("rules", 5), ("event_fields", None)}


def test_a_withdrawal_that_no_mark_made(
    engine: Engine, ledger: TruthfulLedger, tamper: Callable[..., None]
) -> None:
    tamper("update decisions set outcome = 'withdrawn', reason = 'withdrawn_by_admin' where number = 6")
    assert ("rules", 6, "outcome") in found(engine)


def test_a_mark_that_the_audit_log_does_not_know(
    engine: Engine, ledger: TruthfulLedger, tamper: Callable[..., None]
) -> None:
    tamper("delete from audit_log where job_id = :job", job=ledger.rows[2].job_id)
    assert found(engine) == {("audit_log", 3, "audit_log row")}


@pytest.mark.parametrize(
    "change", ["drained_up_to = -1", "drained_until = null", "drain_reason = null", "drained_up_to = 0"]
)
def test_the_database_keeps_a_mark_whole(engine: Engine, ledger: TruthfulLedger, change: str) -> None:
    with pytest.raises(Exception, match="events_drain_mark"), engine.begin() as connection:
        connection.execute(text(f"update events set {change} where id = 7"))
