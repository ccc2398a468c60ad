"""A drain mark concerns the bookings that waited when it was set, and nobody else."""

from datetime import timedelta

import pytest

from shared.domain.allocation import decide
from shared.domain.drain import DrainMark, drain_facts, read_drain, set_drain
from shared.domain.ledger import LedgerRow
from shared.domain.requests import Request
from shared.domain.snapshot import EventState
from tests.snapshots import NOW, booking_state, event_state, request, snapshot_of

LATER = NOW + timedelta(microseconds=1)


def mark(up_to_arrival: int, **fields: object) -> DrainMark:
    given: dict[str, object] = {"accepted_until": NOW, "reason": "The price was wrong."}
    return DrainMark(up_to_arrival=up_to_arrival, **(given | fields))  # type: ignore[arg-type]


def drained(*marks: DrainMark, **fields: object) -> EventState:
    event = event_state(**fields)
    for one in marks:
        set_drain(event, one)
    return event


def decided(event: EventState, *requests: Request) -> list[LedgerRow]:
    return [one.row for one in decide(snapshot_of(event), requests, NOW).decided]


class TestWhoWaits:
    def test_is_withdrawn_at_their_place_and_told_why(self) -> None:
        event = drained(mark(2))
        rows = decided(event, *(request(user_id=user) for user in (1, 2, 3)))
        assert [(row.arrival, row.outcome, row.reason) for row in rows] == [
            (1, "withdrawn", "withdrawn_by_admin"),
            (2, "withdrawn", "withdrawn_by_admin"),
            (3, "confirmed", None),
        ]
        assert rows[0].facts == {"admin_reason": "The price was wrong."}
        assert event.booked == 1

    def test_by_the_number_that_the_ledger_gives_whatever_the_request_carries(self) -> None:
        rows = decided(drained(mark(1)), request(user_id=1, arrival=77), request(user_id=2, arrival=1))
        assert [row.outcome for row in rows] == ["withdrawn", "confirmed"]

    def test_who_left_by_themselves_is_told_that(self) -> None:
        (row,) = decided(drained(mark(9)), request(withdrawn=True))
        assert (row.reason, row.facts) == ("withdrawn_by_user", {})

    def test_comes_before_every_other_rule(self) -> None:
        (row,) = decided(drained(mark(9), status="cancelled", sales_paused=True), request(tickets=99))
        assert row.reason == "withdrawn_by_admin"

    def test_a_quarantined_request_stays_one(self) -> None:
        poison = request()
        plan = decide(snapshot_of(drained(mark(9))), [poison], NOW, [poison.job_id])
        assert plan.decided[0].row.outcome == "failed"


class TestWhatIsNotConcerned:
    def test_who_was_accepted_after_it_though_numbers_are_given_out_again(self) -> None:
        """Redis lost its data: the newcomer has a number that the mark covers, and a later instant."""
        (row,) = decided(drained(mark(100)), request(accepted_at=LATER))
        assert row.outcome == "confirmed"

    def test_who_has_a_later_number_though_the_clock_went_back(self) -> None:
        (row,) = decided(drained(mark(4), last_arrival=4), request(accepted_at=NOW - timedelta(days=1)))
        assert row.outcome == "confirmed"

    def test_cancellations(self) -> None:
        booking = booking_state()
        event = drained(mark(9), booked=2)
        cancel = request(kind="cancel", booking_id=booking.id)
        plan = decide(snapshot_of(event, booking), [cancel], NOW)
        assert plan.decided[0].row.outcome == "cancelled"

    def test_a_call_off(self) -> None:
        (row,) = decided(drained(mark(9)), request(kind="call_off", user_id=None))
        assert row.outcome == "done"


class TestASecondMark:
    def test_reaches_further_with_its_own_reason(self) -> None:
        rows = decided(
            drained(mark(1), mark(2, reason="Rain", accepted_until=LATER)),
            request(user_id=1),
            request(user_id=2, accepted_at=LATER),
            request(user_id=3, accepted_at=LATER),
        )
        assert [row.facts.get("admin_reason") for row in rows] == ["Rain", "Rain", None]

    def test_never_takes_the_first_one_back(self) -> None:
        event = drained(mark(5), mark(2, accepted_until=NOW - timedelta(hours=1)))
        assert (event.drained_up_to, event.drained_until) == (5, NOW)


class TestFacts:
    def test_say_the_whole_mark(self) -> None:
        facts = drain_facts(mark(7))
        assert facts == {
            "up_to_arrival": 7,
            "accepted_until": "2026-11-20T18:00:00.000000Z",
            "reason": "The price was wrong.",
        }
        assert read_drain(facts) == mark(7)

    @pytest.mark.parametrize(
        "change",
        [
            {"up_to_arrival": "7"},
            {"up_to_arrival": True},
            {"accepted_until": None},
            {"accepted_until": "soon"},
            {"accepted_until": "2026-11-20T18:00:00"},
            {"reason": None},
        ],
    )
    def test_that_say_none_are_refused(self, change: dict[str, object]) -> None:
        with pytest.raises((TypeError, ValueError)):
            read_drain(drain_facts(mark(7)) | change)
        with pytest.raises(KeyError):
            read_drain({})
