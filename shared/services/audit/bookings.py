"""The bookings that a ledger made and cancelled against the rows of `bookings`."""

from collections.abc import Iterator

from shared.domain.findings import Finding
from shared.domain.outcomes import CANCELLED
from shared.domain.replay import Replay
from shared.services.audit.findings import Tally
from shared.services.audit.streams import BOOKING_COLUMNS, Row


def compare_bookings(booked: int, replay: Replay, rows: Iterator[Row], tally: Tally) -> None:
    """Compares one event's rows with `replay`, whose bookings it uses up; `booked` is the event's counter.

    What is left of the replayed bookings when every row found its own is missing from the table.
    """
    event_id = replay.event.id
    live_users: set[int] = set()
    live_tickets = 0
    for row in rows:
        _, booking_id, user_id, job_id, tickets, status, *_ = row
        tally.examined["bookings"] += 1
        tally.examined["one_live_booking"] += 1
        _compare_booking(replay, row, tally)
        if status == CANCELLED:
            continue
        live_tickets += tickets
        if user_id in live_users:
            doubled = Finding(
                check="one_live_booking",
                what=f"live bookings of user {user_id}",
                expected=1,
                found=f"one more: {booking_id}",
                event_id=event_id,
                job_id=job_id,
            )
            tally.add(doubled)
        live_users.add(user_id)
    tally.compare("event_counters", "sum of live bookings", live_tickets, booked, event_id=event_id)
    for booking in replay.bookings.values():
        missing = Finding(
            check="bookings",
            what=f"booking {booking.id}",
            expected=f"{booking.status}, {booking.tickets} tickets",
            found=None,
            event_id=event_id,
            job_id=booking.job_id,
        )
        tally.add(missing)


def _compare_booking(replay: Replay, row: Row, tally: Tally) -> None:
    event_id, booking_id, _, job_id, tickets, status, *_ = row
    booking = replay.bookings.pop(booking_id, None)
    if booking is None:
        extra = Finding(
            check="bookings",
            what=f"booking {booking_id}",
            expected=None,
            found=f"{status}, {tickets} tickets",
            event_id=event_id,
            job_id=job_id,
        )
        tally.add(extra)
        return
    for name, value in zip(BOOKING_COLUMNS, row, strict=True):
        expected = getattr(booking, name)
        if expected != value:
            different = Finding(
                check="bookings",
                what=f"booking {booking_id}: {name}",
                expected=expected,
                found=value,
                event_id=event_id,
                job_id=job_id,
            )
            tally.add(different)
