"""Table `decisions`: the ledger."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Index, Integer, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class Decision(Base):
    """One row of an event's append-only, hash-chained ledger; a trigger refuses every change."""

    __tablename__ = "decisions"

    job_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    event_id: Mapped[int]  # of an event that there is: a trigger looks, once a statement
    number: Mapped[int]
    arrival: Mapped[int | None]
    kind: Mapped[str]
    user_id: Mapped[int | None] = mapped_column()
    tickets: Mapped[int | None] = mapped_column(Integer)
    outcome: Mapped[str]
    reason: Mapped[str | None]
    booking_id: Mapped[uuid.UUID | None]
    available_after: Mapped[int] = mapped_column(Integer)
    facts: Mapped[dict[str, Any]]
    accepted_at: Mapped[datetime]
    decided_at: Mapped[datetime]
    hash: Mapped[bytes] = mapped_column(LargeBinary)

    __table_args__ = (
        UniqueConstraint("event_id", "number", name="decisions_number_key"),
        Index("decisions_user_idx", user_id, job_id, postgresql_where=text("user_id is not null")),
    )
