"""Tables `organizations` and `organization_members`."""

from datetime import datetime

from sqlalchemy import ForeignKey, Identity, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base


class Organization(Base):
    """Who stands behind events. Deleting hides it: hidden events still refer to it."""

    __tablename__ = "organizations"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    name: Mapped[str] = mapped_column()
    logo_url: Mapped[str | None]
    website_url: Mapped[str | None]
    background_url: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[datetime | None]

    __table_args__ = (
        Index("organizations_name_idx", name, id, postgresql_where=text("deleted_at is null")),
        Index("organizations_created_idx", created_at, id, postgresql_where=text("deleted_at is null")),
    )


class OrganizationMember(Base):
    """Who belongs to an organization: an `owner`, or a `member`. Both manage its events."""

    __tablename__ = "organization_members"

    organization_id: Mapped[int] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    role: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("organization_members_user_idx", user_id, organization_id),)
