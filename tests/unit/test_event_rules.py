"""What an event may look like, how it may change, and what its sale looks like."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.domain.events import (
    MAX_DURATION,
    Committed,
    EventFields,
    Sales,
    check_change,
    check_new,
    complete,
    is_completed,
    merge,
    sales_state,
    shown_status,
)
from shared.errors import InvalidInputError, RefusedError

NOW = datetime(2030, 1, 1, tzinfo=UTC)
START = NOW + timedelta(days=10)
HOUR = timedelta(hours=1)


def fields(**values: Any) -> EventFields:
    return complete({"title": "Concert", "starts_at": START, "capacity": 10, "status": "scheduled", **values})


def pointers(error: InvalidInputError) -> list[str]:
    return [entry["pointer"] for entry in error.errors]


class TestComplete:
    def test_ends_after_two_hours_and_sells_until_the_start(self) -> None:
        event = fields()
        assert (event.ends_at, event.sales_close_at) == (START + 2 * HOUR, START)

    def test_null_is_the_default(self) -> None:
        assert fields(ends_at=None, sales_close_at=None, code=None) == fields()

    def test_is_a_free_draft_in_utc_unless_told_otherwise(self) -> None:
        event = complete({"title": "Concert", "starts_at": START, "capacity": 10})
        assert (event.status, event.price_minor, event.currency, event.time_zone) == (
            "draft",
            0,
            "EUR",
            "UTC",
        )


class TestMerge:
    def test_changes_only_what_is_named(self) -> None:
        assert merge(fields(), {"title": "Opera"}) == fields(title="Opera")

    def test_ends_that_stood_at_their_default_move_with_the_start(self) -> None:
        assert merge(fields(), {"starts_at": START + HOUR}) == fields(starts_at=START + HOUR)

    def test_ends_that_were_chosen_stay(self) -> None:
        chosen = fields(ends_at=START + 5 * HOUR, sales_close_at=START - HOUR)
        assert merge(chosen, {"starts_at": START + HOUR}) == replace(chosen, starts_at=START + HOUR)

    def test_null_puts_an_end_back_to_its_default(self) -> None:
        chosen = fields(ends_at=START + 5 * HOUR, sales_close_at=START - HOUR)
        assert merge(chosen, {"ends_at": None, "sales_close_at": None}) == fields()

    def test_an_end_given_with_the_start_wins(self) -> None:
        changes = {"starts_at": START + HOUR, "ends_at": START + 9 * HOUR, "sales_close_at": START}
        assert merge(fields(), changes) == fields(**changes)


class TestCheckNew:
    @pytest.mark.parametrize(
        ("values", "pointer"),
        [
            ({"starts_at": NOW}, "#/starts_at"),
            ({"ends_at": START - HOUR}, "#/ends_at"),
            ({"ends_at": START + MAX_DURATION + HOUR}, "#/ends_at"),
            ({"sales_close_at": START + HOUR}, "#/sales_close_at"),
            ({"sales_open_at": START}, "#/sales_open_at"),
        ],
    )
    def test_names_the_field_that_is_wrong(self, values: dict[str, Any], pointer: str) -> None:
        with pytest.raises(InvalidInputError) as caught:
            check_new(fields(**values), now=NOW)
        assert pointers(caught.value) == [pointer]

    def test_takes_an_event_that_ends_when_it_starts(self) -> None:
        check_new(fields(ends_at=START, sales_open_at=START - HOUR), now=NOW)


class TestCheckChange:
    @pytest.mark.parametrize(
        ("current", "wanted", "code"),
        [
            ({"status": "cancelled"}, {"title": "Opera"}, "event_over"),
            ({"ends_at": START}, {"title": "Opera"}, "event_over"),
            ({}, {"status": "draft"}, "event_has_bookings"),
            ({}, {"capacity": 2}, "capacity_below_committed"),
        ],
    )
    def test_refuses(self, current: dict[str, Any], wanted: dict[str, Any], code: str) -> None:
        now = START if "ends_at" in current else NOW
        before = fields(**current)
        with pytest.raises(RefusedError) as caught:
            check_change(
                before, replace(before, **wanted), Committed(booked=3, offered=0, waiting=0), now=now
            )
        assert caught.value.code == code

    def test_takes_a_capacity_of_exactly_what_is_booked(self) -> None:
        check_change(fields(), fields(capacity=3), Committed(booked=3, offered=0, waiting=0), now=NOW)

    def test_a_running_event_may_still_be_described_but_not_moved_into_the_past(self) -> None:
        check_change(fields(), fields(title="Opera"), Committed(booked=3, offered=0, waiting=0), now=START)
        with pytest.raises(InvalidInputError):
            check_change(
                fields(),
                fields(starts_at=START - HOUR, ends_at=START + HOUR),
                Committed(booked=3, offered=0, waiting=0),
                now=START,
            )

    def test_a_draft_is_never_over_but_is_published_for_the_future_only(self) -> None:
        draft = fields(status="draft")
        late = START + 9 * HOUR
        check_change(
            draft, replace(draft, title="Opera"), Committed(booked=0, offered=0, waiting=0), now=late
        )
        with pytest.raises(InvalidInputError) as caught:
            check_change(draft, fields(), Committed(booked=0, offered=0, waiting=0), now=late)
        assert pointers(caught.value) == ["#/starts_at"]

    def test_without_bookings_an_event_goes_back_to_draft(self) -> None:
        check_change(fields(), fields(status="draft"), Committed(booked=0, offered=0, waiting=0), now=NOW)


@pytest.mark.parametrize(
    ("changes", "sales"),
    [
        ({}, "open"),
        ({"status": "draft"}, "not_open"),
        ({"sales_open_at": NOW + HOUR}, "not_open"),
        ({"sales_open_at": NOW}, "open"),
        ({"sales_paused": True}, "paused"),
        ({"sales_paused": True, "available": 0}, "paused"),
        ({"available": 0}, "sold_out"),
        ({"line_paused": True}, "paused"),
        ({"line_paused": True, "available": 0}, "sold_out"),
        ({"status": "cancelled"}, "closed"),
        ({"sales_close_at": NOW, "sales_paused": True}, "closed"),
    ],
)
def test_the_state_of_a_sale(changes: dict[str, Any], sales: Sales) -> None:
    open_sale: dict[str, Any] = {
        "status": "scheduled",
        "sales_open_at": None,
        "sales_close_at": START,
        "sales_paused": False,
        "line_paused": False,
        "available": 1,
        "at": NOW,
    }
    assert sales_state(**{**open_sale, **changes}) == sales


def test_only_a_published_event_is_ever_completed() -> None:
    assert is_completed("scheduled", NOW, NOW)
    assert not is_completed("scheduled", NOW + HOUR, NOW)
    assert not is_completed("draft", NOW, NOW)
    assert shown_status("scheduled", NOW, NOW) == "completed"
    assert shown_status("cancelled", NOW, NOW) == "cancelled"
