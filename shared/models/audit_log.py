"""Table `audit_log`: who changed what, and why."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class AuditLogEntry(Base):
    """One change by an admin, a host or a command, written in the change's own transaction."""

    __tablename__ = "audit_log"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    action: Mapped[str] = mapped_column()
    target_type: Mapped[str] = mapped_column()
    target_id: Mapped[str] = mapped_column()
    reason: Mapped[str | None]
    changes: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    job_id: Mapped[uuid.UUID | None] = mapped_column()
    request_id: Mapped[str | None] = mapped_column()
    at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index("audit_log_target_idx", target_type, target_id, id),
        Index("audit_log_actor_idx", actor_id, id),
        Index("audit_log_action_idx", action, id),
        Index("audit_log_request_idx", request_id, postgresql_where=text("request_id is not null")),
        Index("audit_log_job_key", job_id, unique=True, postgresql_where=text("job_id is not null")),
    )
