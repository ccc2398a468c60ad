"""Table `notifications`."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class Notification(Base):
    """What one person is told of, in the app. One for each person and `cause`, however often that is handled."""

    __tablename__ = "notifications"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    kind: Mapped[str]
    cause: Mapped[str] = mapped_column()
    event_id: Mapped[int | None] = mapped_column(ForeignKey("events.id"))
    payload: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    read_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint(user_id, cause, name="notifications_cause_key"),
        Index("notifications_user_idx", user_id, id),
        Index("notifications_unread_idx", user_id, id, postgresql_where=text("read_at is null")),
    )
