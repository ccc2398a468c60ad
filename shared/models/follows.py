"""Table `follows`."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class Follow(Base):
    """Somebody who wants to be told of a host's new events."""

    __tablename__ = "follows"

    host_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index("follows_user_idx", user_id, created_at, host_id),
        CheckConstraint(host_id != user_id, name="follows_not_oneself"),
    )
