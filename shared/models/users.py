"""Table `users`."""

from datetime import datetime

from sqlalchemy import Identity, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class User(Base):
    """An account. A deleted one keeps its row, anonymised, because the ledger refers to it."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    name: Mapped[str]
    email: Mapped[str] = mapped_column()
    password_hash: Mapped[str | None]
    role: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[datetime | None]

    __table_args__ = (
        Index("users_email_key", func.lower(email), unique=True, postgresql_where=text("deleted_at is null")),
    )
