"""A worker is killed with SIGKILL at every single call of its life; another recovers."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from shared.settings import Settings
from tests.crash.flows import Desk, recover
from worker import batch

# What a sweep must have died at, or it has not tried what it says.
BATCH_STEPS = (
    "begin; select exists",
    "EVALSHA take",
    "select id, capacity, booked",
    "insert into decisions",
    "commit",
    "EVALSHA reply",
)


def ask_for_everything(desk: Desk, event: int, other: int) -> None:
    """Confirmed, refused, withdrawn, cancelled and booked again, two events in one batch."""
    desk.book_each(event, desk.users[:3])
    desk.book(other, desk.users[0], tickets=2)
    left = desk.book(event, desk.users[4])
    desk.withdraw(left.job_id)
    for row in desk.query("select id, event_id, user_id from bookings where status = 'confirmed' limit 1"):
        desk.send(row.event_id, "cancel", row.user_id, booking_id=row.id)
        desk.book(row.event_id, row.user_id)
    desk.book(event, desk.users[5])


def test_at_every_call_of_a_life(desk: Desk, sweep: Callable[..., list[str]]) -> None:
    event, other = desk.open_events(2, capacity=5)
    points = "\n".join(sweep(lambda: ask_for_everything(desk, event, other), steady=False))
    for step in (*BATCH_STEPS, "EVALSHA claim", "pg_try_advisory_lock", "nextval('claim_token_seq')"):
        assert step in points
    desk.assert_kept()


def test_while_it_decides_one_by_one_because_others_died(desk: Desk, sweep: Callable[..., list[str]]) -> None:
    event = desk.open_events(1, capacity=5)[0]

    def ask() -> None:
        desk.book_each(event, desk.users[:2])

    points = sweep(ask, prelude=2, batches_only=True)
    assert sum("EVALSHA alone" in point for point in points) == 2
    assert sum(point == "commit" for point in points) == 2
    desk.assert_kept()


def test_between_the_slices_of_a_call_off(
    desk: Desk,
    sweep: Callable[..., list[str]],
    settings: Settings,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batch, "SLICE_SIZE", 2)
    opened = []

    def ask() -> None:
        event = desk.open_events(1, capacity=10)[0]
        opened.append(event)
        desk.book_each(event, desk.users[:3])
        recover(settings, engine)
        desk.book(event, desk.users[6])
        desk.call_off(event)
        desk.book(event, desk.users[7])

    points = sweep(ask, batches_only=True, slice_size=2)
    assert sum(point == "commit" for point in points) >= 4  # before, two slices, after
    for event in opened:
        assert desk.query("select booked from events where id = :id", id=event) == [(0,)]
        assert [outcome for _, outcome, _ in desk.outcomes(event)][3:] == ["rejected", "done", "rejected"]
    desk.assert_kept()
