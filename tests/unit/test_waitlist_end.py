"""The end of a waitlist when its event starts, as the ledger tells it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.ledger import LedgerRow
from shared.domain.replay import Replay
from shared.domain.waitlist import EXPIRED
from tests.ledgers import TruthfulLedger
from tests.replaying import places, rechain, replay


@pytest.fixture
def ledger() -> TruthfulLedger:
    """Two tickets, booked; three people wait for one each."""
    ledger = TruthfulLedger(capacity=2)
    ledger.book(1, 2)
    for user_id in (2, 3, 4):
        ledger.join(user_id)
    return ledger


def slices_of(rows: list[LedgerRow]) -> list[LedgerRow]:
    return [row for row in rows if row.kind == "end_waitlist_slice"]


def statuses(run: Replay) -> list[str]:
    return [entry.status for entry in run.entries.values()]


def test_ends_everybody_in_slices_before_its_own_row(ledger):
    rows = ledger.end_waitlist(slice_size=2)
    assert [row.kind for row in rows] == ["end_waitlist_slice", "end_waitlist_slice", "end_waitlist"]
    assert [len(row.facts["ended"]) for row in slices_of(rows)] == [2, 1]
    run, findings = replay(ledger.rows)
    assert findings == []
    assert statuses(run) == [EXPIRED] * 3
    assert not any(run.event.waiting)
    assert run.open_slices == {}


def test_ends_open_offers_too(ledger):
    ledger.now = ledger.event.starts_at - timedelta(minutes=5)
    ledger.set_event(capacity=3)
    ledger.ask("serve_waitlist", None)
    assert ledger.event.offered == 1
    ledger.end_waitlist()
    run, findings = replay(ledger.rows)
    assert findings == []
    assert (run.event.offered, statuses(run)) == (0, [EXPIRED] * 3)


def test_before_the_start_is_found(ledger):
    ledger.end_waitlist(slice_size=3)
    rows = ledger.copies()
    early = ledger.event.starts_at - timedelta(days=1)
    for row in rows[-2:]:
        row.decided_at = row.accepted_at = early
    _, findings = replay(rechain(rows))
    assert places(findings) == {("rules", rows[-2].number)}


def test_that_cancels_a_booking_is_found(ledger):
    ledger.end_waitlist(slice_size=3)
    rows = ledger.copies()
    booking_id = next(row.booking_id for row in rows if row.booking_id is not None)
    rows[-2] = replace(rows[-2], facts={**rows[-2].facts, "cancelled": [str(booking_id)]})
    _, findings = replay(rechain(rows))
    assert ("rules", rows[-2].number) in places(findings)


def test_of_an_entry_that_has_ended_is_found(ledger):
    ledger.end_waitlist(slice_size=1)
    rows = ledger.copies()
    first, second, _ = slices_of(rows)
    second.facts["ended"] = first.facts["ended"]
    _, findings = replay(rechain(rows))
    assert ("rules", second.number) in places(findings)
