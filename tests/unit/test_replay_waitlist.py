"""Replaying a ledger with a waitlist: a truthful one gives no finding; a lie is found at its row, and only there."""

import uuid
from datetime import timedelta
from typing import Any

import pytest

from shared.clock import rfc3339
from shared.domain.ledger import LedgerRow
from shared.domain.replay import Replay
from shared.ids import derived_uuid, uuid7
from tests.ledgers import TruthfulLedger
from tests.replaying import places, rechain, replay


@pytest.fixture
def ledger() -> TruthfulLedger:
    """Four tickets, booked by users 2 and 3; 4, 5, 6 and 7 wait for 2, 1, 3 and 1 of them."""
    ledger = TruthfulLedger(capacity=4)
    ledger.book(2, 2)
    ledger.book(3, 2)
    for user, tickets in ((4, 2), (5, 1), (6, 3), (7, 1)):
        ledger.join(user, tickets)  # numbers 4 … 7
    return ledger


def cancel_of(ledger: TruthfulLedger, user_id: int) -> LedgerRow:
    booking = ledger.snapshot.live[1, user_id]
    return ledger.cancel(user_id, booking.id)


def row_of(ledger: TruthfulLedger, kind: str, user_id: int | None = None) -> LedgerRow:
    """The newest row of a kind."""
    return [row for row in ledger.rows if row.kind == kind and user_id in (None, row.user_id)][-1]


def told(ledger: TruthfulLedger) -> set[tuple[str, int | None]]:
    """Where something is found when somebody has changed rows and recomputed every hash."""
    for number, row in enumerate(ledger.rows, start=1):
        row.number = number
    return places(replay(rechain(ledger.rows))[1])


class TestATruthfulLedger:
    def test_of_everything_that_happens_on_a_waitlist(self, ledger):
        cancel_of(ledger, 2)  # 4 gets an offer of two
        offer = ledger.offer_of(4).job_id
        ledger.ask("accept_offer", 4, offer_id=uuid7())
        ledger.ask("accept_offer", 5, offer_id=offer)
        ledger.ask("expire_offer", 4, offer_id=offer)  # not due
        ledger.ask("accept_offer", 4, offer_id=offer, closed=True)
        ledger.ask("accept_offer", 4, offer_id=offer)
        ledger.ask("accept_offer", 4, offer_id=offer)
        ledger.join(4)
        cancel_of(ledger, 3)  # 5 and 7: 6 wants three
        ledger.ask("decline_offer", 5, offer_id=ledger.offer_of(5).job_id)
        ledger.ask("leave_waitlist", 7)
        ledger.ask("leave_waitlist", 7)
        ledger.book(8, 2, waitlist=True)
        ledger.book(9, 3, waitlist=True)
        ledger.book(9, 3, waitlist=True)
        ledger.ask("leave_waitlist", 6)
        ledger.ask("leave_waitlist", 9)
        ledger.join(10, 1)
        ledger.join(6, 4)
        ledger.join(9, 4)
        ledger.set_event(waitlist_enabled=False)
        ledger.join(11, 1)
        ledger.set_event(waitlist_enabled=True, capacity=10)
        ledger.ask("serve_waitlist", None)
        ledger.join(12, 1)
        ledger.now += timedelta(hours=1)
        ledger.ask("expire_offer", 6, offer_id=ledger.offer_of(6).job_id)
        ledger.ask("accept_offer", 9, offer_id=ledger.offer_of(9).job_id)
        ledger.set_event(sales_paused=True)
        ledger.ask("leave_waitlist", 9)
        ledger.call_off()
        run, findings = replay(ledger.rows)
        assert findings == []
        assert run.event == ledger.event
        assert (run.event.offered, run.event.waiting, run.event.booked) == (0, [0] * 10, 0)
        assert {
            "offer_not_found", "offer_not_due", "account_closed", "offer_ended", "already_booked", "not_waiting",
            "already_waiting", "tickets_available", "waitlist_disabled",
        } <= {row.reason for row in ledger.rows}  # fmt: skip

    @pytest.mark.parametrize("kind", ["accept_offer", "decline_offer", "expire_offer"])
    def test_of_a_quarantined_request_about_an_offer(self, ledger, kind):
        cancel_of(ledger, 2)
        ledger.ask(kind, 4, offer_id=ledger.offer_of(4).job_id, quarantined=True)
        ledger.ask("leave_waitlist", 4)
        assert replay(ledger.rows)[1] == []

    def test_in_which_nothing_is_offered_around_a_quarantined_request(self, ledger):
        ledger.set_event(capacity=5)
        ledger.ask("serve_waitlist", None, quarantined=True)
        ledger.ask("serve_waitlist", None)
        assert replay(ledger.rows)[1] == []
        assert [row.kind for row in ledger.rows[-3:]] == ["serve_waitlist", "offer", "serve_waitlist"]


class TestAForgedOffer:
    def test_to_somebody_who_joined_later(self, ledger):
        cancel_of(ledger, 2)
        offer, later = ledger.offer_of(4), row_of(ledger, "join_waitlist", 6)
        offer.user_id, offer.tickets = later.user_id, later.tickets
        offer.facts["entry_id"] = later.facts["entry_id"]
        assert told(ledger) == {("rules", offer.number), ("oversell", offer.number)}

    def test_that_passes_over_who_has_waited_longest(self, ledger):
        """Tickets for one: 5 has waited longer than 7."""
        cancel_of(ledger, 2)
        ledger.ask("leave_waitlist", 4)
        offers = [ledger.offer_of(user) for user in (5, 7)]
        swapped = [(row.user_id, row.facts["entry_id"]) for row in reversed(offers)]
        for row, (user_id, entry_id) in zip(offers, swapped, strict=True):
            row.user_id, row.facts["entry_id"] = user_id, entry_id
        assert told(ledger) == {("rules", offers[0].number)}

    def test_that_names_another_entry(self, ledger):
        cancel_of(ledger, 2)
        offer = ledger.offer_of(4)
        offer.facts["entry_id"] = row_of(ledger, "join_waitlist", 6).facts["entry_id"]
        assert told(ledger) == {("rules", offer.number)}

    @pytest.mark.parametrize("late", [True, False])
    def test_that_outlives_the_start_or_ends_before_it_was_made(self, ledger, late):
        cancel_of(ledger, 2)
        offer = ledger.offer_of(4)
        ends = ledger.event.starts_at + timedelta(seconds=1) if late else offer.decided_at
        offer.facts["expires_at"] = rfc3339(ends)
        assert told(ledger) == {("rules", offer.number)}

    @pytest.mark.parametrize("expires_at", [None, "soon", 7, "2026-11-01T09:00:00"])
    def test_without_an_end(self, ledger, expires_at):
        cancel_of(ledger, 2)
        offer = ledger.offer_of(4)
        offer.facts["expires_at"] = expires_at
        assert ("rules", offer.number) in told(ledger)

    def test_whose_id_is_not_its_own(self, ledger):
        cancel_of(ledger, 2)
        offer = ledger.offer_of(4)
        offer.job_id = uuid7()
        assert told(ledger) == {("rules", offer.number)}

    def test_of_other_tickets_than_were_waited_for(self, ledger):
        cancel_of(ledger, 2)
        offer = ledger.offer_of(4)
        offer.tickets = 1
        assert told(ledger) == {("rules", offer.number)}

    def test_of_tickets_that_are_booked(self, ledger):
        ledger.rows.append(forged_offer(ledger, row_of(ledger, "join_waitlist", 5)))
        assert told(ledger) == {("rules", len(ledger.rows)), ("oversell", len(ledger.rows))}

    def test_to_somebody_who_does_not_wait(self, ledger):
        cancel_of(ledger, 2)
        made = forged_offer(ledger, row_of(ledger, "join_waitlist", 4))
        ledger.rows.append(made)
        assert told(ledger) == {("rules", made.number)}

    def test_while_the_sale_is_paused(self, ledger):
        ledger.set_event(sales_paused=True, capacity=5)
        made = forged_offer(ledger, row_of(ledger, "join_waitlist", 5))
        ledger.rows.append(made)
        assert told(ledger) == {("rules", made.number)}


def forged_offer(ledger: TruthfulLedger, join: LedgerRow) -> LedgerRow:
    """An offer in the usual form, made up."""
    cause, last = uuid7(), ledger.rows[-1]
    expires_at = ledger.now + timedelta(hours=1)
    return LedgerRow(
        job_id=derived_uuid(cause, last.number + 1),
        event_id=1,
        number=last.number + 1,
        arrival=None,
        kind="offer",
        user_id=join.user_id,
        tickets=join.tickets,
        outcome="done",
        reason=None,
        booking_id=None,
        available_after=0,
        facts={
            "entry_id": join.facts["entry_id"],
            "expires_at": rfc3339(expires_at),
            "cause": str(cause),
        },
        accepted_at=ledger.now,
        decided_at=ledger.now,
    )


class TestWhoeverWasLeftOut:
    def test_is_found_at_the_next_decision_and_only_there(self, ledger):
        cancel_of(ledger, 2)
        ledger.rows.remove(ledger.offer_of(4))
        first = len(ledger.rows) + 1
        for user in range(20, 24):
            ledger.book(user)
        assert told(ledger) == {("rules", first)}

    def test_is_found_though_others_came_between(self, ledger):
        """The offer is taken out of the ledger, and the tickets are booked by somebody else."""
        cancel_of(ledger, 2)
        ledger.rows.remove(ledger.offer_of(4))
        lucky = ledger.book(20)
        lucky.outcome, lucky.reason, lucky.booking_id = "confirmed", None, derived_uuid(lucky.job_id, 0)
        found = told(ledger)
        assert found == {("rules", lucky.number)}

    def test_is_found_again_when_a_later_fault_leaves_out_another(self, ledger):
        cancel_of(ledger, 2)
        ledger.ask("accept_offer", 4, offer_id=ledger.offer_of(4).job_id)
        cancel_of(ledger, 3)  # 5 and 7
        ledger.rows.remove(ledger.offer_of(5))
        ledger.book(20)
        ledger.book(21)
        ledger.set_event(capacity=9)
        ledger.ask("serve_waitlist", None)
        ledger.rows.remove(ledger.offer_of(6))
        found = told(ledger)
        assert found == {("rules", ledger.offer_of(7).number), ("rules", ledger.rows[-1].number)}


class TestAForgedRequest:
    def test_acceptance_of_somebody_elses_offer(self, ledger):
        cancel_of(ledger, 2)
        row = ledger.ask("accept_offer", 5, offer_id=ledger.offer_of(4).job_id)
        row.outcome, row.reason, row.booking_id = "confirmed", None, derived_uuid(row.job_id, 0)
        row.tickets = 2
        assert told(ledger) == {("rules", row.number), ("oversell", row.number)}

    def test_acceptance_after_its_time(self, ledger):
        cancel_of(ledger, 2)
        ledger.now += timedelta(hours=2)
        offer = ledger.offer_of(4)
        row = ledger.ask("accept_offer", 4, offer_id=offer.job_id)
        assert row.reason == "offer_expired"
        row.outcome, row.reason, row.booking_id = "confirmed", None, derived_uuid(row.job_id, 0)
        row.tickets = 2
        row.facts = {"offer_id": str(offer.job_id), "entry_id": offer.facts["entry_id"]}
        ledger.book(20)
        assert told(ledger) == {("rules", row.number)}

    def test_acceptance_that_was_refused(self, ledger):
        cancel_of(ledger, 2)
        row = ledger.ask("accept_offer", 4, offer_id=ledger.offer_of(4).job_id)
        row.outcome, row.reason, row.booking_id = "rejected", "offer_ended", None
        row.tickets = None
        assert told(ledger) == {("rules", row.number)}

    def test_end_of_an_offer_before_its_time(self, ledger):
        cancel_of(ledger, 2)
        row = ledger.ask("expire_offer", 4, offer_id=ledger.offer_of(4).job_id)
        row.outcome, row.reason, row.tickets = "done", None, 2
        assert {number for _, number in told(ledger)} == {row.number}

    @pytest.mark.parametrize("offer_id", [None, "it", 7])
    def test_about_no_offer(self, ledger, offer_id):
        cancel_of(ledger, 2)
        row = ledger.ask("decline_offer", 4, offer_id=ledger.offer_of(4).job_id)
        row.facts = {"entry_id": row.facts["entry_id"]} | ({} if offer_id is None else {"offer_id": offer_id})
        assert {number for _, number in told(ledger)} == {row.number}

    def test_place_for_somebody_who_was_refused_one(self, ledger):
        row = ledger.join(2)  # has a booking
        row.outcome, row.reason, row.facts = (
            "waitlisted",
            None,
            {"entry_id": str(derived_uuid(row.job_id, 0))},
        )
        ledger.book(20)
        assert told(ledger) == {("rules", row.number)}

    def test_place_that_was_denied(self, ledger):
        row = ledger.join(20)
        row.outcome, row.reason, row.facts = "rejected", "waitlist_disabled", {}
        ledger.book(21)
        assert told(ledger) == {("rules", row.number)}

    def test_place_for_more_tickets_than_anybody_may_wait_for(self, ledger):
        row = ledger.join(20)
        row.tickets = 99
        ledger.book(21)
        assert told(ledger) == {("rules", row.number)}

    def test_place_that_somebody_has_twice(self, ledger):
        row = ledger.join(4)
        row.outcome, row.reason, row.facts = (
            "waitlisted",
            None,
            {"entry_id": str(derived_uuid(row.job_id, 0))},
        )
        ledger.book(21)
        assert told(ledger) == {("rules", row.number)}

    def test_booking_that_keeps_its_place(self, ledger):
        """Its row does not say that the entry ended: whoever booked still waits."""
        ledger.set_event(capacity=5, waitlist_enabled=False)
        row = ledger.book(5)
        assert row.facts.pop("entry_id")
        assert told(ledger) == {("rules", row.number)}


class TestAForgedSlice:
    @pytest.fixture
    def slices(self, ledger) -> list[LedgerRow]:
        cancel_of(ledger, 2)
        return ledger.call_off()[:-1]

    def changed(self, ledger: TruthfulLedger, row: LedgerRow, ended: Any) -> set[int | None]:
        row.facts["ended"] = ended
        return {number for _, number in told(ledger)}

    def test_that_ends_an_entry_twice(self, ledger, slices):
        ended = slices[0].facts["ended"]
        assert self.changed(ledger, slices[0], [*ended, ended[0]]) == {slices[0].number}

    def test_that_ends_what_an_earlier_one_has_ended(self, ledger, slices):
        ended = slices[1].facts["ended"] + slices[0].facts["ended"][:1]
        assert self.changed(ledger, slices[1], ended) == {slices[1].number}

    def test_that_ends_an_unknown_entry(self, ledger, slices):
        ended = [*slices[0].facts["ended"], str(uuid.uuid4())]
        assert self.changed(ledger, slices[0], ended) == {slices[0].number}

    @pytest.mark.parametrize("ended", ["all", 7, [7], {"all": True}])
    def test_whose_entries_are_none(self, ledger, slices, ended):
        found = self.changed(ledger, slices[0], ended)
        # what it did not end waits on: no later row can be right either
        assert found == {row.number for row in ledger.rows[slices[0].number - 1 :]}


def test_an_entry_knows_how_it_ended_whatever_a_row_says(ledger):
    cancel_of(ledger, 2)
    row = ledger.ask("leave_waitlist", 4)
    row.facts["acting_as"] = "nobody"
    run = Replay(1)
    for each in rechain(ledger.rows):
        run.step(each)
    entry = run.entries[uuid.UUID(row.facts["entry_id"])]
    assert (entry.status, entry.offer.status) == ("left", "declined")
