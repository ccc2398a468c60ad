"""Tickets that a new booking could get now: the one definition, of which the SQL function `available_tickets` is the
other half.
"""

from collections.abc import Sequence
from typing import Final

# Bookings and waiting entries have 1 … 10 tickets; `waiting` counts the waiting entries of each size.
SIZE_MAX: Final = 10


def smallest_waiting(waiting: Sequence[int]) -> int | None:
    """The fewest tickets that a waiting entry wants; None when nobody waits."""
    for index, entries in enumerate(waiting):
        if entries:
            return index + 1
    return None


def available_tickets(
    *, capacity: int, booked: int, offered: int, waitlist_enabled: bool, waiting: Sequence[int]
) -> int:
    """What is free; nothing while somebody waits whom that would serve."""
    free = capacity - booked - offered
    if not waitlist_enabled:
        return free
    smallest = smallest_waiting(waiting)
    return free if smallest is None or smallest > free else 0
