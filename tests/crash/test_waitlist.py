"""Workers that die with offers in their hands: nobody is offered anything twice, nobody is forgotten, and the order of
joining stands.
"""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from shared.domain import waitlist
from shared.line.accept import Accepted
from shared.settings import Settings
from tests.crash.flows import Desk, recover
from worker import batch


class Waiting:
    """An event with two tickets, both booked, and four people who wait."""

    def __init__(self, desk: Desk, settings: Settings, engine: Engine) -> None:
        self.desk, self.settings, self.engine = desk, settings, engine
        self.event = desk.open_events(1, capacity=2)[0]
        desk.book_each(self.event, desk.users[:2])
        self.join(2, 3, 4, 5)
        self.recover()

    def recover(self) -> None:
        recover(self.settings, self.engine)

    def ask(self, kind: str, person: int, **fields: Any) -> None:
        answer = self.desk.send(self.event, kind, self.desk.users[person], **fields)
        assert isinstance(answer, Accepted), answer

    def join(self, *people: int, tickets: int = 1) -> None:
        for person in people:
            self.ask("join_waitlist", person, tickets=tickets)

    def cancel(self, person: int) -> None:
        (row,) = self.query(
            "select id from bookings where event_id = :event and user_id = :user and status = 'confirmed'",
            user=self.desk.users[person],
        )
        self.ask("cancel", person, booking_id=row.id)

    def offer_of(self, person: int) -> Any:
        (row,) = self.query(
            "select id from offers where event_id = :event and user_id = :user", user=self.desk.users[person]
        )
        return row.id

    def query(self, statement: str, **values: Any) -> list[Any]:
        return self.desk.query(statement, event=self.event, **values)

    def offers(self) -> list[tuple[int, str]]:
        """(person, status) in the order in which offers were made."""
        rows = self.query(
            "select o.user_id, o.status from offers o join decisions d on d.job_id = o.id"
            " where o.event_id = :event order by d.number"
        )
        return [(self.desk.users.index(row.user_id), row.status) for row in rows]

    def counters(self) -> tuple[int, int, int]:
        """Booked, offered, how many wait."""
        (row,) = self.query("select booked, offered, waiting from events where id = :event")
        return row.booked, row.offered, sum(row.waiting)


@pytest.fixture
def wait(desk: Desk, settings: Settings, engine: Engine) -> Callable[[], Waiting]:
    return lambda: Waiting(desk, settings, engine)


def test_at_every_call_of_a_batch_with_offers(
    desk: Desk, sweep: Callable[..., list[str]], wait: Callable[[], Waiting]
) -> None:
    """An offer is accepted, two are made, one of them ends, somebody leaves, joins, waits instead of booking."""
    tried: list[Waiting] = []

    def ask() -> None:
        waiting = wait()
        tried.append(waiting)
        waiting.cancel(0)
        waiting.recover()
        waiting.ask("accept_offer", 2, offer_id=waiting.offer_of(2))
        waiting.cancel(1)
        waiting.ask("leave_waitlist", 4)
        waiting.ask("book", 6, waitlist=True)
        waiting.ask("leave_waitlist", 3)
        waiting.join(4)

    points = "\n".join(sweep(ask, batches_only=True))
    for step in ("EVALSHA take", "select w.id", "insert into decisions", "commit", "EVALSHA reply"):
        assert step in points
    for waiting in tried:
        assert waiting.offers() == [(2, "accepted"), (3, "declined"), (5, "open")]
        assert waiting.counters() == (1, 1, 2)
    desk.assert_kept()


def test_between_the_transactions_that_many_offers_take(
    desk: Desk, sweep: Callable[..., list[str]], wait: Callable[[], Waiting], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two more tickets, an offer a transaction: whoever asks later stays behind those who wait."""
    monkeypatch.setattr(waitlist, "OFFERS_MAX", 1)  # of who recovers
    tried: list[Waiting] = []

    def ask() -> None:
        waiting = wait()
        tried.append(waiting)
        desk.change(waiting.event, capacity=4)
        waiting.ask("book", 6)
        waiting.ask("book", 7, waitlist=True)

    points = sweep(ask, batches_only=True, offers_max=1)
    assert sum(point == "commit" for point in points) == 3  # two, and what comes after
    for waiting in tried:
        assert waiting.offers() == [(2, "open"), (3, "open")]
        assert waiting.counters() == (2, 2, 3)
        assert [reason for _, _, reason in desk.outcomes(waiting.event)][-3:] == [None, "sold_out", None]
    desk.assert_kept()


def test_between_the_slices_of_a_call_off(
    desk: Desk, sweep: Callable[..., list[str]], wait: Callable[[], Waiting], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "SLICE_SIZE", 2)
    tried: list[Waiting] = []

    def ask() -> None:
        waiting = wait()
        tried.append(waiting)
        waiting.cancel(0)
        waiting.recover()
        desk.call_off(waiting.event)
        waiting.ask("accept_offer", 2, offer_id=waiting.offer_of(2))
        waiting.join(7)

    points = sweep(ask, batches_only=True, slice_size=2)
    assert sum(point == "commit" for point in points) >= 3  # two slices, and what comes after
    for waiting in tried:
        assert waiting.counters() == (0, 0, 0)
        assert waiting.offers() == [(2, "expired")]
        assert [reason for _, _, reason in desk.outcomes(waiting.event)][-3:] == [
            None,
            "offer_ended",
            "event_cancelled",
        ]
        statuses = waiting.query("select status from waitlist_entries where event_id = :event")
        assert [row.status for row in statuses] == ["expired"] * 4
    desk.assert_kept()
