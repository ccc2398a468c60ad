"""Tables that steer the line: its one row of state, and requests that the control plane makes."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, Integer, LargeBinary, func, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class LineState(Base):
    """The one row: installation, number of partitions, pause. Every batch reads it FOR SHARE."""

    __tablename__ = "line_state"

    id: Mapped[bool] = mapped_column(primary_key=True, server_default="true")
    installation_id: Mapped[uuid.UUID]
    partitions: Mapped[int] = mapped_column(Integer)
    reference_key: Mapped[bytes] = mapped_column(LargeBinary)
    paused: Mapped[bool] = mapped_column(server_default="false")
    pause_reason: Mapped[str | None]
    paused_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    paused_at: Mapped[datetime | None]
    resume_at: Mapped[datetime | None]


class ControlRequest(Base):
    """A request made by the control plane, written with its cause and put into the line after the commit.

    `acting_as` is the right under which it acts: `host`, `admin` or `account` (an account that is closed).
    """

    __tablename__ = "control_requests"

    job_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    event_id: Mapped[int] = mapped_column(ForeignKey("events.id"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    booking_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("bookings.id"))
    offer_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("offers.id"))
    acting_as: Mapped[str]
    request_id: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    queued_at: Mapped[datetime | None]
    decided_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "control_requests_one_expiry_key",
            offer_id,
            unique=True,
            postgresql_where=text("kind = 'expire_offer' and decided_at is null"),
        ),
    )
