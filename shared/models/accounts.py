"""Tables of logging in: refresh tokens, revoked tokens, failed attempts."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Identity, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class RefreshToken(Base):
    """One refresh token. All tokens of one log-in are a family; using one twice revokes the family."""

    __tablename__ = "refresh_tokens"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    family_id: Mapped[uuid.UUID] = mapped_column(index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]


class RevokedToken(Base):
    """A subject whose access tokens no longer count: `family:<uuid>` or `user:<id>`."""

    __tablename__ = "revoked_tokens"

    subject: Mapped[str] = mapped_column(primary_key=True)
    revoked_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    expires_at: Mapped[datetime]


class LoginFailure(Base):
    """A log-in that failed, for throttling: which account (hashed), from which address."""

    __tablename__ = "login_failures"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    account: Mapped[str] = mapped_column()
    address: Mapped[str] = mapped_column()
    failed_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)

    __table_args__ = (Index("login_failures_address_idx", address, failed_at),)
