"""The booking rules, one by one: which refusal comes first, and where each boundary lies."""

from datetime import timedelta

import pytest

from shared.clock import rfc3339
from shared.domain.outcomes import REASONS
from shared.domain.rules import judge_book, judge_call_off, judge_cancel, judge_sale
from shared.domain.snapshot import Terms
from tests.snapshots import CLOSES, NOW, OPENS, STARTS, booking_state, event_state, request, snapshot_of

TICK = timedelta(microseconds=1)
DAY = timedelta(hours=24)


def book(event=None, *bookings, now=NOW, closed=(), **fields):
    event = event or event_state()
    snapshot = snapshot_of(event, *bookings, closed_users=set(closed))
    verdict = judge_book(snapshot, event, request(**fields), now)
    assert verdict.reason is None or verdict.reason in REASONS
    return verdict


def cancel(event=None, booking=None, *, cancel_until=DAY, **fields):
    event = event or event_state()
    booking = booking or booking_state()
    snapshot = snapshot_of(event, booking, terms=Terms(cancel_until=cancel_until))
    asked = request(**{"kind": "cancel", "booking_id": booking.id, **fields})
    return judge_cancel(snapshot, event, asked)


class TestBook:
    def test_confirms(self):
        assert (book().outcome, book().reason, book().facts) == ("confirmed", None, {})

    def test_gives_all_that_is_left_or_none(self):
        assert book(event_state(booked=8), tickets=2).outcome == "confirmed"
        refused = book(event_state(booked=8), tickets=3)
        assert (refused.reason, refused.facts) == ("not_enough_left", {"available": 2})
        assert book(event_state(booked=10), tickets=3).reason == "sold_out"

    @pytest.mark.parametrize(
        ("at", "reason"),
        [(OPENS - TICK, "sales_not_open"), (OPENS, None), (CLOSES - TICK, None), (CLOSES, "sales_closed")],
    )
    def test_is_judged_when_it_was_accepted(self, at, reason):
        assert book(accepted_at=at).reason == reason

    def test_tells_when_sales_open_and_closed(self):
        assert book(accepted_at=OPENS - TICK).facts == {"opens_at": rfc3339(OPENS)}
        assert book(accepted_at=CLOSES).facts == {"closed_at": rfc3339(CLOSES)}
        assert book(event_state(sales_open_at=None), accepted_at=OPENS - DAY).outcome == "confirmed"

    @pytest.mark.parametrize(("now", "reason"), [(STARTS - TICK, None), (STARTS, "event_started")])
    def test_is_too_late_once_the_event_has_started(self, now, reason):
        assert book(now=now).reason == reason

    def test_takes_no_more_than_one_booking_may_have(self):
        assert book(tickets=4).outcome == "confirmed"
        refused = book(tickets=5)
        assert (refused.reason, refused.facts) == ("too_many_tickets", {"max_per_booking": 4})

    def test_allows_one_live_booking(self):
        live, gone = booking_state(), booking_state(status="cancelled")
        refused = book(None, live)
        assert (refused.reason, refused.facts) == ("already_booked", {"booking_id": str(live.id)})
        assert book(None, gone).outcome == "confirmed"
        assert book(None, booking_state(user_id=2)).outcome == "confirmed"

    def test_names_the_first_reason_of_many(self):
        """Every reason is present; each is told when those before it are gone."""
        wrong = {
            "account_closed": {"closed": (1,)},
            "event_not_found": {"event": {"deleted": True}},
            "event_cancelled": {"event": {"status": "cancelled"}},
            "sales_paused": {"event": {"sales_paused": True}},
            "sales_closed": {"accepted_at": CLOSES},
            "event_started": {"now": STARTS},
            "too_many_tickets": {"tickets": 5},
            "already_booked": {"bookings": (booking_state(),)},
            "sold_out": {"event": {"booked": 10}},
        }
        while wrong:
            event = {key: value for part in wrong.values() for key, value in part.get("event", {}).items()}
            rest = {key: value for part in wrong.values() for key, value in part.items() if key != "event"}
            bookings = rest.pop("bookings", ())
            assert book(event_state(**event), *bookings, **rest).reason == next(iter(wrong))
            del wrong[next(iter(wrong))]

    def test_needs_a_user_and_tickets(self):
        for fields in ({"user_id": None}, {"tickets": None}, {"tickets": 0}):
            with pytest.raises(ValueError, match="needs a user and tickets"):
                book(**fields)


class TestSale:
    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({}, None),
            ({"deleted": True}, "event_not_found"),
            ({"status": "draft"}, "event_not_found"),
            ({"status": "cancelled"}, "event_cancelled"),
            ({"sales_paused": True}, "sales_paused"),
            ({"at": OPENS - TICK}, "sales_not_open"),
            ({"at": CLOSES}, "sales_closed"),
        ],
    )
    def test_is_one_rule_for_the_door_and_the_worker(self, fields, reason):
        usual = {
            "status": "scheduled", "deleted": False, "sales_paused": False, "sales_open_at": OPENS,
            "sales_close_at": CLOSES, "at": NOW,
        }  # fmt: skip
        verdict = judge_sale(**{**usual, **fields})
        assert (verdict and verdict.reason) == reason


class TestCancel:
    def test_gives_back(self):
        verdict = cancel()
        assert verdict.outcome == "cancelled"
        assert verdict.facts == {"acting_as": "owner", "closes_at": rfc3339(STARTS - DAY)}

    @pytest.mark.parametrize("acting_as", ["owner", "host", "admin", "account"])
    def test_closes_for_owners_only(self, acting_as):
        assert cancel(accepted_at=STARTS - DAY - TICK, acting_as=acting_as).outcome == "cancelled"
        late = cancel(accepted_at=STARTS - DAY, acting_as=acting_as)
        assert late.reason == ("cancellation_closed" if acting_as == "owner" else None)

    def test_has_a_deadline_that_is_a_setting(self):
        assert cancel(accepted_at=STARTS - TICK, cancel_until=timedelta(0)).outcome == "cancelled"

    @pytest.mark.parametrize("acting_as", ["owner", "account"])
    def test_of_somebody_elses_booking_finds_none(self, acting_as):
        assert cancel(booking=booking_state(user_id=2), acting_as=acting_as).reason == "booking_not_found"
        assert cancel(user_id=None, acting_as=acting_as).reason == "booking_not_found"

    @pytest.mark.parametrize("acting_as", ["host", "admin"])
    def test_of_somebody_elses_booking_is_the_right_of_hosts_and_admins(self, acting_as):
        assert cancel(booking=booking_state(user_id=2), acting_as=acting_as).outcome == "cancelled"

    def test_finds_only_bookings_of_its_event(self):
        assert cancel(booking=booking_state(event_id=2), acting_as="admin").reason == "booking_not_found"
        assert cancel(booking_id=None).reason == "booking_not_found"
        assert cancel(booking_id=booking_state().id).reason == "booking_not_found"

    def test_happens_once(self):
        assert cancel(booking=booking_state(status="cancelled")).reason == "already_cancelled"

    def test_is_possible_when_sales_are_not(self):
        event = event_state(status="cancelled", deleted=True, sales_paused=True)
        assert cancel(event).outcome == "cancelled"


class TestCallOff:
    def test_ends_when_nothing_is_booked(self):
        assert judge_call_off(event_state()).outcome == "done"
        with pytest.raises(ValueError, match="slices"):
            judge_call_off(event_state(booked=1))
