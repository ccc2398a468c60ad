"""Table `idempotency_keys`: answers of creating POSTs other than the line's."""

from datetime import datetime
from typing import Any

from sqlalchemy import LargeBinary, SmallInteger, func
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class IdempotencyKey(Base):
    """The answer that an actor's key got, written in the transaction of what it created."""

    __tablename__ = "idempotency_keys"

    actor: Mapped[str] = mapped_column(primary_key=True)
    key_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int] = mapped_column(SmallInteger)
    headers: Mapped[dict[str, Any]]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
