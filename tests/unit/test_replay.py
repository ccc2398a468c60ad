"""Replaying a ledger: a truthful one gives no finding, and every lie is found at its row."""

import random
import uuid
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.ledger import LedgerRow
from shared.domain.snapshot import Terms
from shared.ids import uuid7
from tests.ledgers import OPENING, TruthfulLedger
from tests.replaying import places, rechain, replay

# The mark is set while the next few requests of the ledger wait.
AHEAD = timedelta(seconds=3)


@pytest.fixture
def ledger() -> TruthfulLedger:
    """A ledger with every kind of row and most reasons."""
    ledger = TruthfulLedger(capacity=6)
    first = ledger.book(2, 2)  # number 2
    ledger.book(3, 3)
    ledger.book(4, 2)  # not_enough_left
    ledger.book(2, 1)  # already_booked
    ledger.book(5, 1)  # the last one
    ledger.book(6, 1)  # sold_out, number 7
    ledger.cancel(2, first.booking_id)
    ledger.cancel(2, first.booking_id)  # already_cancelled
    ledger.cancel(3, uuid7())  # booking_not_found
    ledger.book(7, 5)  # too_many_tickets, number 11
    ledger.book(8, withdrawn=True)
    ledger.book(9, quarantined=True)
    ledger.book(10, closed=True)
    ledger.set_event(capacity=8, price_minor=900)
    ledger.book(11, 2)  # number 16
    ledger.set_event(sales_paused=True)
    ledger.book(12)
    ledger.set_event(sales_paused=False)
    ledger.drain(3)
    ledger.book(14, accepted_at=OPENING)  # withdrawn_by_admin
    ledger.book(15, withdrawn=True, accepted_at=OPENING)
    ledger.book(16)  # accepted after the mark
    ledger.call_off()
    ledger.book(13)
    return ledger


class TestTruthfulLedger:
    def test_gives_no_finding_and_the_final_state(self, ledger: TruthfulLedger) -> None:
        run, findings = replay(ledger.rows)
        assert findings == []
        assert run.event == ledger.event
        assert run.bookings.keys() == ledger.snapshot.bookings.keys()
        assert run.open_slices == {}
        assert run.rows == len(ledger.rows)
        reasons = {row.reason for row in ledger.rows}
        assert {
            "sold_out",
            "not_enough_left",
            "already_booked",
            "account_closed",
            "event_cancelled",
            "withdrawn_by_admin",
            "withdrawn_by_user",
        } <= reasons

    def test_of_a_cancellation_by_the_host_after_the_deadline(self) -> None:
        ledger = TruthfulLedger()
        booking = ledger.book(2).booking_id
        ledger.now = ledger.event.starts_at - timedelta(hours=1)
        assert ledger.cancel(2, booking).reason == "cancellation_closed"
        assert ledger.cancel(3, booking).reason == "booking_not_found"
        assert ledger.cancel(1, booking, acting_as="host").outcome == "cancelled"
        assert ledger.cancel(1, booking, acting_as="host").reason == "already_cancelled"
        assert replay(ledger.rows)[1] == []

    def test_keeps_the_deadline_that_was_set_when_it_was_decided(self) -> None:
        ledger = TruthfulLedger()
        ledger.snapshot.terms = Terms(cancel_until=timedelta(days=29, hours=23))
        booking = ledger.book(2).booking_id
        ledger.now += timedelta(hours=2)
        assert ledger.cancel(2, booking).reason == "cancellation_closed"
        assert replay(ledger.rows)[1] == []

    def test_of_a_call_off_under_way_names_its_open_slices(self) -> None:
        ledger = TruthfulLedger()
        ledger.book(2)
        ledger.book(3)
        slices = ledger.call_off(slice_size=1)[:-1]
        run, findings = replay([row for row in ledger.rows if row.kind != "call_off"])
        assert findings == []
        assert set(run.open_slices) == {row.job_id for row in slices}

    def test_counts_arrivals_whose_clock_went_back(self) -> None:
        ledger = TruthfulLedger()
        ledger.book(2)
        ledger.book(3, accepted_at=ledger.now - timedelta(minutes=1))
        run, findings = replay(ledger.rows)
        assert (run.overtakings, findings) == (1, [])


@given(seed=st.integers(0, 10_000), capacity=st.integers(1, 12))
def test_whatever_the_rules_decide_replays_without_a_finding(seed: int, capacity: int) -> None:
    chance = random.Random(seed)
    ledger = TruthfulLedger(capacity=capacity)
    for _ in range(40):
        user = chance.randint(2, 9)
        if chance.random() < 0.6:
            ledger.book(
                user, chance.randint(1, 5), withdrawn=chance.random() < 0.1, closed=chance.random() < 0.1
            )
        elif chance.random() < 0.2:
            ledger.drain(chance.randint(1, 4), chance.choice("ab"), accepted_until=ledger.now + AHEAD)
        elif chance.random() < 0.7 and ledger.snapshot.bookings:
            right = chance.choice(["owner", "host", "admin"])
            ledger.cancel(user, chance.choice(list(ledger.snapshot.bookings)), acting_as=right)
        else:
            ledger.set_event(capacity=max(ledger.event.booked, chance.randint(1, 14)))
    if chance.random() < 0.3:
        ledger.call_off()
    run, findings = replay(ledger.rows)
    assert findings == []
    assert run.event == ledger.event


class TestAForgedRow:
    def test_whose_hash_was_not_recomputed_breaks_the_chain_there(self, ledger: TruthfulLedger) -> None:
        rows = ledger.copies()
        rows[3].accepted_at += timedelta(seconds=1)
        assert places(replay(rows)[1]) == {("chain", 4)}

    def test_with_a_changed_hash_is_the_only_finding(self, ledger: TruthfulLedger) -> None:
        rows = ledger.copies()
        rows[3].hash = bytes(32)
        assert places(replay(rows)[1]) == {("chain", 4)}

    def test_that_sells_more_than_there_is(self) -> None:
        ledger = TruthfulLedger(capacity=1)
        ledger.book(2)
        refused = ledger.book(3)
        refused.outcome, refused.reason, refused.booking_id = "confirmed", None, uuid7()
        refused.available_after = -1
        findings = replay(rechain(ledger.rows))[1]
        assert places(findings) == {("rules", 3), ("oversell", 3)}
        assert ("booked + offered", "at most 1", 2) in {(f.what, f.expected, f.found) for f in findings}

    def test_that_refuses_what_was_free_is_followed_as_recorded(self) -> None:
        ledger = TruthfulLedger(capacity=2)
        denied = ledger.book(2, 2)
        denied.outcome, denied.reason, denied.booking_id = "rejected", "sold_out", None
        denied.available_after = 2
        ledger.rows.append(forged_booking(ledger, user_id=3, tickets=2))
        run, findings = replay(rechain(ledger.rows))
        assert places(findings) == {("rules", 2)}
        assert {finding.what for finding in findings} == {
            "outcome",
            "reason",
            "booking_id",
            "available_after",
        }
        assert run.event.booked == 2

    def test_that_keeps_a_cancelled_booking(self) -> None:
        ledger = TruthfulLedger()
        row = ledger.cancel(2, ledger.book(2, 2).booking_id)
        row.outcome, row.reason, row.available_after = "rejected", "cancellation_closed", 8
        run, findings = replay(rechain(ledger.rows))
        assert places(findings) == {("rules", 3)}
        assert run.event.booked == 2
        assert len(run.snapshot.live) == 1

    def test_that_cancels_what_the_rules_keep(self) -> None:
        ledger = TruthfulLedger()
        booking = ledger.book(2, 2).booking_id
        row = ledger.cancel(3, booking)  # booking_not_found
        row.outcome, row.reason, row.tickets, row.available_after = "cancelled", None, 2, 10
        run, findings = replay(rechain(ledger.rows))
        assert ("rules", 3) in places(findings)
        assert run.event.booked == 0

    def test_that_lowers_the_capacity_below_what_is_booked(self) -> None:
        ledger = TruthfulLedger()
        ledger.book(2, 4)
        ledger.set_event(capacity=3)
        assert places(replay(ledger.rows)[1]) == {("oversell", 3)}

    @pytest.mark.parametrize(
        "facts",
        [
            {},
            {"capacity": "9"},
            {"starts_at": "soon"},
            {"starts_at": None},
            {"sales_close_at": "2026-01-01T00:00:00"},
            {"waitlist_enabled": "yes"},
        ],
    )
    def test_whose_facts_are_not_an_events(self, facts: dict[str, object]) -> None:
        ledger = TruthfulLedger()
        rows = ledger.rows
        rows[0].facts = {**rows[0].facts, **facts} if facts else {}
        findings = replay(rechain(rows))[1]
        assert [finding.what for finding in findings if finding.check == "rules"] == ["row"]

    def test_of_an_unknown_kind(self, ledger: TruthfulLedger) -> None:
        rows = ledger.copies()
        rows[-1].kind = "gift"
        findings = replay(rechain(rows))[1]
        assert places(findings) == {("rules", len(rows)), ("arrivals", len(rows))}

    def test_of_a_confirmed_booking_without_tickets(self) -> None:
        ledger = TruthfulLedger()
        ledger.book(2).tickets = None
        run, findings = replay(rechain(ledger.rows))
        assert places(findings) == {("rules", 2)}
        assert run.event.booked == 0

    def test_that_ends_a_call_off_too_early(self) -> None:
        ledger = TruthfulLedger()
        ledger.book(2)
        ledger.call_off()
        rows = [row for row in ledger.rows if row.kind != "call_off_slice"]
        assert ("rules", 5) in places(replay(rows)[1])

    @pytest.mark.parametrize("named", [["same", "same"], ["cancelled"], ["unknown"], "text"])
    def test_of_a_slice_that_cancels_what_it_cannot(self, named: list[str] | str) -> None:
        ledger = TruthfulLedger()
        same = ledger.book(2).booking_id
        cancelled = ledger.book(3).booking_id
        ledger.cancel(3, cancelled)
        row = ledger.call_off()[0]
        ids = {"same": str(same), "cancelled": str(cancelled), "unknown": str(uuid7())}
        row.facts = {"cancelled": [ids[name] for name in named] if isinstance(named, list) else named}
        assert ("rules", row.number) in places(replay(rechain(ledger.rows[:-1]))[1])


class TestAForgedDrain:
    @pytest.fixture
    def drained(self) -> TruthfulLedger:
        """Numbers 3 and 4 are withdrawn by the mark, number 5 came after it."""
        ledger = TruthfulLedger()
        ledger.drain(2, accepted_until=ledger.now + AHEAD)
        for user in (2, 3, 4):
            ledger.book(user)
        assert [row.outcome for row in ledger.rows[2:]] == ["withdrawn", "withdrawn", "confirmed"]
        return ledger

    def test_that_withdraws_whom_no_mark_concerns(self, drained: TruthfulLedger) -> None:
        row = drained.rows[4]
        row.outcome, row.reason, row.booking_id, row.available_after = (
            "withdrawn",
            "withdrawn_by_admin",
            None,
            10,
        )
        row.facts = dict(drained.rows[3].facts)
        run, findings = replay(rechain(drained.rows))
        assert places(findings) == {("rules", 5)}
        assert run.event.booked == 0

    def test_that_books_whom_a_mark_concerns(self, drained: TruthfulLedger) -> None:
        row = drained.rows[3]
        row.outcome, row.reason, row.facts, row.booking_id = "confirmed", None, {}, uuid7()
        assert ("rules", 4) in places(replay(rechain(drained.rows))[1])

    def test_that_tells_another_reason(self, drained: TruthfulLedger) -> None:
        drained.rows[3].facts = {"admin_reason": "Because."}
        assert places(replay(rechain(drained.rows))[1]) == {("rules", 4)}

    @pytest.mark.parametrize(
        ("change", "wrong"),
        [
            ({"up_to_arrival": 1}, {4}),
            ({"up_to_arrival": 3}, {5}),
            ({"accepted_until": "2026-11-01T08:00:00.000000Z"}, {3, 4}),
            ({"reason": "Rain"}, {3, 4}),
            ({"up_to_arrival": 0}, {2, 3, 4}),  # a line in which nothing waits is not drained
            ({"up_to_arrival": "2"}, {2, 3, 4}),
            ({"more": 1}, {2}),
        ],
    )
    def test_whose_facts_are_not_what_was_set(
        self, drained: TruthfulLedger, change: dict[str, object], wrong: set[int]
    ) -> None:
        mark = drained.rows[1]
        mark.facts = mark.facts | change
        assert places(replay(rechain(drained.rows))[1]) == {("rules", number) for number in wrong}

    def test_whose_mark_was_taken_out(self, drained: TruthfulLedger) -> None:
        del drained.rows[1]
        assert {("numbers", 3), ("rules", 3), ("rules", 4)} <= places(replay(rechain(drained.rows))[1])


def forged_booking(ledger: TruthfulLedger, *, user_id: int, tickets: int) -> LedgerRow:
    """The row that a booking would be if the event were as empty as the forged ledger says."""
    ledger.event.booked = 0
    ledger.snapshot.live.clear()
    row = ledger.book(user_id, tickets)
    ledger.rows.pop()
    return row


class TestOrder:
    def test_a_missing_row_is_a_hole(self, ledger: TruthfulLedger) -> None:
        rows = ledger.copies()
        del rows[6]  # a refusal: sold_out
        findings = replay(rows)[1]
        assert places(findings) == {("numbers", 8), ("arrivals", 8), ("chain", 8)}
        assert (7, 8) in {(finding.expected, finding.found) for finding in findings}

    def test_swapped_decisions_are_seen_in_their_arrivals(self, ledger: TruthfulLedger) -> None:
        rows = ledger.copies()
        rows[1], rows[2] = rows[2], rows[1]
        for number, row in enumerate(rows, start=1):
            row.number = number
        findings = [finding for finding in replay(rechain(rows))[1] if finding.check == "arrivals"]
        assert [(f.number, f.expected, f.found) for f in findings] == [(2, 1, 2), (3, 3, 1), (4, 2, 3)]

    def test_a_decision_before_its_predecessor_is_found(self, ledger: TruthfulLedger) -> None:
        rows = ledger.copies()
        rows[11].decided_at -= timedelta(days=1)
        assert places(replay(rechain(rows))[1]) == {("clock", 12)}

    def test_without_an_event_set_row_nothing_can_be_judged(self) -> None:
        ledger = TruthfulLedger()
        ledger.book(2)
        run, findings = replay(ledger.rows[1:])
        assert ("rules", 2) in places(findings)
        assert not run.known
        assert run.event.booked == 1

    def test_a_slice_of_another_call_off_stays_open(self) -> None:
        ledger = TruthfulLedger()
        ledger.book(2)
        rows = ledger.call_off()
        rows[0].job_id = uuid.uuid4()
        assert replay(rechain(ledger.rows))[0].open_slices == {rows[0].job_id: rows[0].number}
