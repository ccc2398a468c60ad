"""Table `ledger_audits`."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class LedgerAudit(Base):
    """One night's check of all ledgers; without an end while it runs, or when it was cut off."""

    __tablename__ = "ledger_audits"

    night: Mapped[date] = mapped_column(primary_key=True)
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]
    ledger_rows: Mapped[int | None]
    findings: Mapped[int | None]
    failed: Mapped[dict[str, Any] | None]
