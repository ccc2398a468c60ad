"""`guichet audit` in tests: a ledger to plant faults in, and short ways to say what was found."""

from sqlalchemy import Engine

from shared.domain.findings import Finding
from shared.services.audit import Tally, audit_tables, snapshot_transaction
from tests.ledgers import TruthfulLedger

Places = set[tuple[str, int | None]]


def write_ledgers(engine: Engine, users: list[int]) -> TruthfulLedger:
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
