"""Table `bookings`."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class Booking(Base):
    """Tickets of one user for one event; written by workers only. At most one live one per user and event."""

    __tablename__ = "bookings"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(unique=True)
    event_id: Mapped[int] = mapped_column(ForeignKey("events.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    job_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    tickets: Mapped[int] = mapped_column(Integer)
    status: Mapped[str]
    price_minor: Mapped[int]
    currency: Mapped[str]
    arrival: Mapped[int]
    created_at: Mapped[datetime]
    cancelled_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "bookings_one_live_key",
            event_id,
            user_id,
            unique=True,
            postgresql_where=text("status <> 'cancelled'"),
        ),
        Index("bookings_user_idx", user_id, id),
        Index("bookings_event_idx", event_id, id),
    )
