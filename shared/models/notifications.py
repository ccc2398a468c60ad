"""Table `notifications`."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Computed, ForeignKey, Index, SmallInteger, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class Notification(Base):
    """What one person is told of, in the app. One for each person and `cause`, however often that is handled."""

    __tablename__ = "notifications"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    kind: Mapped[str]
    cause: Mapped[str] = mapped_column()
    event_id: Mapped[int | None]
    payload: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    read_at: Mapped[datetime | None]
    unread: Mapped[int] = mapped_column(
        SmallInteger, Computed("case when read_at is null then 1 else 0 end", persisted=True)
    )

    __table_args__ = (
        UniqueConstraint(user_id, cause, name="notifications_cause_key"),
        Index("notifications_list_idx", user_id, unread, id),
    )
