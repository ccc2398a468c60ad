"""Table `outbox`."""

from datetime import datetime
from typing import Any

from sqlalchemy import Identity, func
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class OutboxMessage(Base):
    """Something that happened and is still to be told on; written with it, deleted with the telling.

    Topic `ledger` points at rows of an event's ledger: one message a batch and event. Other topics carry their
    `payload`.
    """

    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    topic: Mapped[str]
    event_id: Mapped[int | None]
    from_number: Mapped[int | None]
    to_number: Mapped[int | None]
    payload: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    set_aside_at: Mapped[datetime | None]
    error: Mapped[str | None]
