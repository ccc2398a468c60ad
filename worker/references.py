"""The human references of bookings, drawn from PostgreSQL a block at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.domain.snapshot import BookingState
from shared.ids import booking_reference
from shared.store import batches
from worker.claims import ClaimSession

REFERENCE_BLOCK: Final = 1000  # numbers a worker takes from the sequence at a time; its `increment by`


@dataclass(slots=True)
class References:
    """Booking references, a block of sequence numbers at a time. Numbers left over are never used: the space
    has 2.8 × 10^11.

    A block is good only in the session that drew it: what an uncommitted transaction drew from a sequence is
    forgotten when PostgreSQL crashes, and another worker draws the same again. A crash ends every session.
    """

    key: bytes | None = None  # fixed at the first migration, read when the first booking is made
    next_number: int = 0
    left: int = 0
    drawn_in: ClaimSession | None = None

    def draw(self, session: ClaimSession, bookings: Sequence[BookingState]) -> None:
        """Gives each booking its reference. One round trip every thousand bookings."""
        if bookings and self.key is None:
            session.cursor.execute("select reference_key from line_state")
            self.key = bytes(batches.fetch_row(session.cursor)[0])
        if self.drawn_in is not session:
            self.left, self.drawn_in = 0, session
        for booking in bookings:
            if self.left == 0:
                session.cursor.execute("select nextval('booking_reference_seq')")
                self.next_number, self.left = batches.fetch_row(session.cursor)[0], REFERENCE_BLOCK
            booking.reference = booking_reference(self.next_number, self.key or b"")
            self.next_number += 1
            self.left -= 1
