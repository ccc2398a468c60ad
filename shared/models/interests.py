"""Table `interests`."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class Interest(Base):
    """Somebody who wants to be told when an event's sale opens."""

    __tablename__ = "interests"

    event_id: Mapped[int] = mapped_column(ForeignKey("events.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index("interests_event_idx", event_id, created_at, user_id),
        Index("interests_user_idx", user_id, created_at, event_id),
    )
