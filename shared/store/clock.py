"""The database's clock."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session


def read_clock(session: Session) -> datetime:
    """The database's time at this very moment. One round trip.

    Not `now()`, which stands still at the transaction's start: a ledger row's time is read after its event's
    row is locked, or it would be earlier than that of the row before it.
    """
    instant: datetime = session.execute(text("select clock_timestamp()")).scalar_one()
    return instant
