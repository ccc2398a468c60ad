"""What the API brings to the accept script from its snapshot of the event."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(slots=True, kw_only=True)  # not frozen, as what every accept makes; see accept.py
class Door:
    """The verdict formed from the snapshot, and the sales window, which the script judges by Redis' clock.

    `verdict` is empty, or the refusal to give; `sold_out` and `too_many_tickets` yield to a window that is not
    open. `last_arrival` is where numbering starts when Redis has lost its counter.
    """

    verdict: str = ""
    sales_open_at: datetime | None = None
    sales_close_at: datetime | None = None
    last_arrival: int = 0


OPEN_DOOR = Door()
