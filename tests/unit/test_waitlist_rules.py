"""The rules of the waitlist, one by one: which refusal comes first, and where each boundary lies."""

from datetime import timedelta
from typing import Any

import pytest

from shared.clock import rfc3339
from shared.domain.outcomes import REASONS, Verdict
from shared.domain.rules import judge_book, judge_call_off, judge_event, judge_request
from shared.domain.snapshot import EntryState, EventState, OfferState, Snapshot
from shared.domain.waitlist import may_offer
from shared.domain.waitlist_rules import judge_waitlist
from tests.snapshots import (
    CLOSES,
    NOW,
    OPENS,
    STARTS,
    booking_state,
    event_state,
    job_id,
    request,
    snapshot_of,
)

TICK = timedelta(microseconds=1)
ENDS = NOW + timedelta(hours=1)
OFFER = job_id(77)


def entry_of(
    user_id: int = 1, tickets: int = 2, *, offered: str | None = None, event_id: int = 1
) -> EntryState:
    """A place on the waitlist; `offered` is the status of its offer, if it has one."""
    offer = None if offered is None else OfferState(id=OFFER, status=offered, expires_at=ENDS, created_at=NOW)
    return EntryState(
        id=job_id(70 + user_id),
        event_id=event_id,
        user_id=user_id,
        job_id=job_id(80 + user_id),
        number=3,
        tickets=tickets,
        status={None: "waiting", "open": "offered"}.get(offered, str(offered)),
        created_at=NOW,
        offer=offer,
    )


def snapshot_with(event: EventState, *entries: EntryState, **fields: Any) -> Snapshot:
    snapshot = snapshot_of(event, **fields)
    for entry in entries:
        if entry.status in ("waiting", "offered"):
            snapshot.entries[entry.event_id, entry.user_id] = entry
        if entry.offer is not None:
            snapshot.offered[entry.offer.id] = entry
    return snapshot


def judge(
    kind: str, *entries: EntryState, event=None, now=NOW, closed=(), bookings=(), **fields: Any
) -> Verdict:
    event = event or event_state(booked=10)
    snapshot = snapshot_with(event, *entries, closed_users=set(closed))
    snapshot.live.update({(one.event_id, one.user_id): one for one in bookings})
    verdict = judge_waitlist(snapshot, event, request(kind=kind, **fields), now)
    assert verdict.reason is None or verdict.reason in REASONS
    return verdict


class TestJoin:
    def test_gives_a_place(self):
        asked = request(kind="join_waitlist", tickets=2)
        event = event_state(booked=10)
        verdict = judge_waitlist(snapshot_of(event), event, asked, NOW)
        assert verdict.outcome == "waitlisted"
        assert set(verdict.facts) == {"entry_id"}

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"deleted": True}, "event_not_found"),
            ({"status": "cancelled"}, "event_cancelled"),
            ({"sales_paused": True}, "sales_paused"),
            ({"sales_open_at": NOW + TICK}, "sales_not_open"),
            ({"sales_close_at": NOW}, "sales_closed"),
            ({"starts_at": NOW}, "event_started"),
            ({"max_per_booking": 1}, "too_many_tickets"),
            ({"waitlist_enabled": False}, "waitlist_disabled"),
            ({"booked": 8}, "tickets_available"),
        ],
    )
    def test_is_refused(self, fields, reason):
        assert (
            judge("join_waitlist", event=event_state(**{"booked": 10, **fields}), tickets=2).reason == reason
        )

    def test_is_for_more_than_a_booking_could_get(self):
        event = event_state(booked=8)
        assert judge("join_waitlist", event=event, tickets=3).outcome == "waitlisted"
        refused = judge("join_waitlist", event=event, tickets=2)
        assert refused.facts == {"available": 2}

    def test_is_refused_once_one_waits_or_has_an_offer(self):
        for place in (entry_of(), entry_of(offered="open")):
            verdict = judge("join_waitlist", place, tickets=1)
            assert (verdict.reason, verdict.facts) == ("already_waiting", {"entry_id": str(place.id)})

    def test_is_refused_to_a_closed_account_and_to_who_has_a_booking(self):
        assert judge("join_waitlist", tickets=1, closed={1}).reason == "account_closed"
        assert judge("join_waitlist", tickets=1, bookings=[booking_state()]).reason == "already_booked"

    @pytest.mark.parametrize("fields", [{"user_id": None}, {"tickets": None}, {"tickets": 0}])
    def test_needs_somebody_and_tickets(self, fields):
        event = event_state()
        with pytest.raises(ValueError, match="needs a user and tickets"):
            judge_request(snapshot_of(event), event, request(**fields), NOW)


class TestLeave:
    def test_ends_a_place_whatever_the_event_is(self):
        event = event_state(booked=10, status="cancelled", starts_at=NOW)
        place = entry_of()
        verdict = judge("leave_waitlist", place, event=event)
        assert (verdict.outcome, verdict.facts) == ("done", {"acting_as": "owner", "entry_id": str(place.id)})

    def test_ends_an_open_offer_too(self):
        verdict = judge("leave_waitlist", entry_of(offered="open"), acting_as="account")
        assert (verdict.facts["offer_id"], verdict.facts["acting_as"]) == (str(OFFER), "account")

    def test_needs_a_place(self):
        assert judge("leave_waitlist", entry_of(user_id=2)).reason == "not_waiting"
        assert judge("leave_waitlist", user_id=None).reason == "not_waiting"


class TestAccept:
    def accept(self, *entries: EntryState, **fields: Any) -> Verdict:
        return judge("accept_offer", *entries, **{"offer_id": OFFER, **fields})

    def test_books_what_is_held(self):
        verdict = self.accept(entry_of(offered="open"))
        assert verdict.outcome == "confirmed"
        assert verdict.facts == {"entry_id": str(job_id(71)), "offer_id": str(OFFER)}

    def test_is_judged_by_when_it_was_accepted_into_the_line(self):
        held = entry_of(offered="open")
        assert self.accept(held, accepted_at=ENDS - TICK, now=ENDS + timedelta(days=1)).outcome == "confirmed"
        late = self.accept(held, accepted_at=ENDS)
        assert (late.reason, late.facts["expired_at"]) == ("offer_expired", rfc3339(ENDS))

    @pytest.mark.parametrize(
        "fields",
        [{"sales_paused": True}, {"sales_close_at": OPENS}, {"sales_open_at": CLOSES}, {"max_per_booking": 1},
         {"waitlist_enabled": False}],
    )  # fmt: skip
    def test_does_not_ask_for_an_open_sale(self, fields):
        assert self.accept(entry_of(offered="open"), event=event_state(**fields)).outcome == "confirmed"

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [({"deleted": True}, "event_not_found"), ({"status": "draft"}, "event_not_found"),
         ({"status": "cancelled"}, "event_cancelled"), ({"starts_at": NOW}, "event_started")],
    )  # fmt: skip
    def test_needs_an_event(self, fields, reason):
        verdict = self.accept(entry_of(offered="open"), event=event_state(**fields))
        assert (verdict.reason, verdict.facts["offer_id"]) == (reason, str(OFFER))

    def test_is_nobody_elses(self):
        assert self.accept(entry_of(2, offered="open")).reason == "offer_not_found"
        assert self.accept(entry_of(offered="open", event_id=2)).reason == "offer_not_found"
        assert self.accept().reason == "offer_not_found"
        assert self.accept(entry_of(offered="open"), offer_id=None).reason == "offer_not_found"

    @pytest.mark.parametrize("status", ["accepted", "declined", "expired"])
    def test_is_for_once(self, status):
        verdict = self.accept(entry_of(offered=status))
        assert (verdict.reason, verdict.facts["offer_status"]) == ("offer_ended", status)
        assert status in REASONS["offer_ended"]  # the sentence is true however it ended

    def test_is_refused_to_a_closed_account(self):
        assert self.accept(entry_of(offered="open"), closed={1}).reason == "account_closed"


class TestDecline:
    def test_ends_it_at_any_time(self):
        event = event_state(status="cancelled", starts_at=NOW)
        held = entry_of(offered="open")
        verdict = judge("decline_offer", held, event=event, offer_id=OFFER, accepted_at=ENDS)
        assert (verdict.outcome, verdict.facts) == (
            "done",
            {"entry_id": str(held.id), "offer_id": str(OFFER)},
        )

    def test_is_for_once(self):
        assert judge("decline_offer", entry_of(offered="declined"), offer_id=OFFER).reason == "offer_ended"


class TestExpire:
    def test_comes_when_its_time_is_over(self):
        held = entry_of(offered="open")
        assert judge("expire_offer", held, offer_id=OFFER, accepted_at=ENDS - TICK).reason == "offer_not_due"
        assert judge("expire_offer", held, offer_id=OFFER, accepted_at=ENDS).outcome == "done"

    def test_comes_at_the_latest_with_the_start(self):
        event = event_state(starts_at=NOW)
        assert judge("expire_offer", entry_of(offered="open"), event=event, offer_id=OFFER).outcome == "done"

    def test_comes_too_late_for_what_was_accepted(self):
        verdict = judge("expire_offer", entry_of(offered="accepted"), offer_id=OFFER, accepted_at=ENDS)
        assert verdict.reason == "offer_ended"


class TestServe:
    def test_has_nothing_to_do_by_itself(self):
        assert judge("serve_waitlist", user_id=None) == Verdict("done")

    def test_is_a_kind_like_no_other(self):
        with pytest.raises(ValueError, match="unknown kind"):
            judge("refund")


class TestBookOfWhoWaits:
    def book(self, *entries: EntryState, event=None, now=NOW, closed=(), **fields: Any) -> Verdict:
        event = event or event_state(booked=10)
        snapshot = snapshot_with(event, *entries, closed_users=set(closed))
        return judge_book(snapshot, event, request(**fields), now)

    def test_without_waitlist_is_refused_and_keeps_the_place(self):
        verdict = self.book(entry_of(), tickets=2)
        assert (verdict.reason, verdict.facts) == ("sold_out", {})

    def test_with_waitlist_says_that_one_waits(self):
        place = entry_of()
        verdict = self.book(place, tickets=2, waitlist=True)
        assert (verdict.reason, verdict.facts) == ("already_waiting", {"entry_id": str(place.id)})

    def test_gets_what_nobody_else_could_use(self):
        verdict = self.book(entry_of(), event=event_state(booked=9), tickets=1)
        assert (verdict.outcome, verdict.facts) == ("confirmed", {"entry_id": str(job_id(71))})

    def test_of_the_offers_size_accepts_it_though_sales_are_closed(self):
        event = event_state(booked=10, sales_close_at=OPENS)
        verdict = self.book(entry_of(offered="open"), event=event, tickets=2)
        assert (verdict.outcome, verdict.facts["offer_id"]) == ("confirmed", str(OFFER))

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"tickets": 1}, "sold_out"),
            ({"tickets": 2, "accepted_at": ENDS}, "sold_out"),
            ({"tickets": 2, "closed": {1}}, "account_closed"),
            ({"tickets": 2, "now": STARTS}, "event_started"),
            ({"tickets": 2, "accepted_at": ENDS, "waitlist": True}, "already_waiting"),
        ],
    )
    def test_is_no_acceptance(self, fields, reason):
        assert self.book(entry_of(offered="open"), **fields).reason == reason

    def test_waits_only_where_there_is_a_waitlist(self):
        assert self.book(tickets=1, waitlist=True).outcome == "waitlisted"
        event = event_state(booked=10, waitlist_enabled=False)
        assert self.book(event=event, tickets=1, waitlist=True).reason == "sold_out"

    def test_is_refused_what_somebody_waits_for(self):
        event = event_state(booked=7, waiting=[0, 1] + [0] * 8)
        assert self.book(event=event, tickets=1).reason == "sold_out"
        event.waiting = [0, 0, 0, 1] + [0] * 6
        verdict = self.book(event=event, tickets=4)
        assert (verdict.reason, verdict.facts) == ("not_enough_left", {"available": 3})


class TestEvent:
    @pytest.mark.parametrize("fields", [{"deleted": True}, {"status": "draft"}])
    def test_that_is_hidden_is_not_found(self, fields):
        refusal = judge_event(event_state(**fields), NOW)
        assert refusal is not None
        assert refusal.reason == "event_not_found"

    def test_on_sale_stands_in_nobodys_way(self):
        assert judge_event(event_state(sales_paused=True), STARTS - TICK) is None


class TestCallOff:
    @pytest.mark.parametrize("left", [{"booked": 1}, {"offered": 1}, {"waiting": [1] + [0] * 9}])
    def test_ends_only_when_nothing_is_left(self, left):
        with pytest.raises(ValueError, match="a call-off ends when"):
            judge_call_off(event_state(**left))
        assert judge_call_off(event_state()).outcome == "done"


WAITS = {"waiting": [1] + [0] * 9}


class TestOffersAreMade:
    @pytest.mark.parametrize(
        "fields",
        [{}, {"sales_close_at": OPENS}, {"sales_open_at": NOW}, {"sales_open_at": None}, {"max_per_booking": 1},
         {"booked": 9}],
    )  # fmt: skip
    def test_until_the_event_starts(self, fields):
        event = event_state(**WAITS, **fields)
        assert may_offer(event, NOW)
        assert not may_offer(event, STARTS)

    @pytest.mark.parametrize(
        "fields",
        [{"waitlist_enabled": False}, {"booked": 10}, {"booked": 4, "offered": 6}, {"status": "cancelled"},
         {"status": "draft"}, {"deleted": True}, {"sales_paused": True}, {"sales_open_at": NOW + TICK},
         {"waiting": [0] * 10}],
    )  # fmt: skip
    def test_not_while(self, fields):
        assert not may_offer(event_state(**{**WAITS, **fields}), NOW)
