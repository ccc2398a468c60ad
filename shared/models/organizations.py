"""Tables `organizations` and `organization_members`."""

from datetime import datetime
from typing import Final

from sqlalchemy import Computed, ForeignKey, Identity, Index, func, text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from shared.models.base import Base

_WORDS: Final = (
    "array_to_tsvector(array_remove(regexp_split_to_array("
    r"lower(name), '[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u007f]+'), ''))"
)


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
    search_words: Mapped[str] = mapped_column(
        TSVECTOR,
        Computed(_WORDS, persisted=True),
        deferred=True,
        deferred_raiseload=True,
    )

    __table_args__ = (
        Index("organizations_name_idx", name, id, postgresql_where=text("deleted_at is null")),
        Index("organizations_created_idx", created_at, id, postgresql_where=text("deleted_at is null")),
        Index(
            "organizations_words_idx",
            search_words,
            postgresql_using="gin",
            postgresql_where=text("deleted_at is null"),
        ),
    )


class OrganizationMember(Base):
    """Who belongs to an organization: an `owner`, or a `member`. Both manage its events."""

    __tablename__ = "organization_members"

    organization_id: Mapped[int] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    role: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("organization_members_user_idx", user_id, organization_id),)
