"""Tables `waitlist_entries` and `offers`; written by workers only."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base

_WAITING = text("status = 'waiting'")
_OPEN = text("status = 'open'")


class WaitlistEntry(Base):
    """Somebody who waits for tickets of an event. At most one live one per user and event; `number` is the order."""

    __tablename__ = "waitlist_entries"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    event_id: Mapped[int] = mapped_column(ForeignKey("events.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    job_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    number: Mapped[int] = mapped_column()
    tickets: Mapped[int] = mapped_column(Integer)
    status: Mapped[str]
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "waitlist_entries_one_live_key",
            event_id,
            user_id,
            unique=True,
            postgresql_where=text("status in ('waiting', 'offered')"),
        ),
        Index(
            "waitlist_entries_next_idx",
            event_id,
            tickets,
            number,
            postgresql_where=text("ended_at is null and status <> 'offered'"),
        ),
        Index("waitlist_entries_place_idx", event_id, number, postgresql_where=_WAITING),
        Index("waitlist_entries_user_idx", user_id, id),
    )


class Offer(Base):
    """Tickets held for one entry until `expires_at`; single use. Its id is the job id of its ledger row."""

    __tablename__ = "offers"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    entry_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("waitlist_entries.id"), unique=True)
    event_id: Mapped[int] = mapped_column(ForeignKey("events.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    tickets: Mapped[int] = mapped_column(Integer)
    status: Mapped[str]
    expires_at: Mapped[datetime] = mapped_column()
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        Index("offers_due_idx", expires_at, id, postgresql_where=_OPEN),
        Index("offers_open_idx", event_id, user_id, postgresql_where=_OPEN),
    )
