"""Table `events`."""

from datetime import datetime

from sqlalchemy import Computed, ForeignKey, Identity, Integer, LargeBinary
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from shared.domain.availability import available_tickets
from shared.domain.snapshot import BEGINNING
from shared.models.base import Base

_SEARCH_TEXT = """
    setweight(to_tsvector('simple', search_words(title)), 'A')
    || setweight(to_tsvector('simple', search_words(venue)), 'B')
    || setweight(to_tsvector('simple', search_words(description)), 'C')
"""
_HAS_TICKETS = """
    booked + offered < capacity and (
        not waitlist_enabled or waiting = '{0,0,0,0,0,0,0,0,0,0}'
        or available_tickets(capacity, booked, offered, waitlist_enabled, waiting) > 0
    )
"""


class Event(Base):
    """What people attend, its counters and the head of its ledger.

    The counters and the ledger head change only with the row locked FOR UPDATE: by a worker's batch, or by
    the control plane's own transaction.
    """

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    host_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    organization_id: Mapped[int | None] = mapped_column(ForeignKey("organizations.id"))
    title: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    venue: Mapped[str] = mapped_column(server_default="")
    category: Mapped[str] = mapped_column(server_default="")
    code: Mapped[str | None] = mapped_column(unique=True)
    time_zone: Mapped[str]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    sales_open_at: Mapped[datetime | None]
    sales_close_at: Mapped[datetime]
    sales_paused: Mapped[bool] = mapped_column(server_default="false")
    sales_announced_at: Mapped[datetime | None]
    price_minor: Mapped[int] = mapped_column(server_default="0")
    currency: Mapped[str] = mapped_column(server_default="EUR")
    capacity: Mapped[int] = mapped_column(Integer)
    booked: Mapped[int] = mapped_column(Integer, server_default="0")
    offered: Mapped[int] = mapped_column(Integer, server_default="0")
    max_per_booking: Mapped[int] = mapped_column(Integer, server_default="10")
    waitlist_enabled: Mapped[bool] = mapped_column(server_default="true")
    waiting: Mapped[list[int]] = mapped_column(ARRAY(Integer), server_default="{0,0,0,0,0,0,0,0,0,0}")
    status: Mapped[str] = mapped_column(server_default="draft")
    impressions: Mapped[int] = mapped_column(server_default="0")
    version: Mapped[int] = mapped_column(server_default="1")
    last_number: Mapped[int] = mapped_column(server_default="0")
    last_hash: Mapped[bytes] = mapped_column(LargeBinary, server_default=bytes(32).hex())
    last_arrival: Mapped[int] = mapped_column(server_default="0")
    last_decided_at: Mapped[datetime] = mapped_column(default=BEGINNING, server_default=str(BEGINNING))
    arrivals_reissued: Mapped[int] = mapped_column(server_default="0")
    drained_up_to: Mapped[int] = mapped_column(server_default="0")
    drained_until: Mapped[datetime | None]
    drain_reason: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default="now()")
    updated_at: Mapped[datetime] = mapped_column(server_default="now()")
    deleted_at: Mapped[datetime | None]
    # For lists: what an index needs to know, and no rule reads. Both generated columns are the migration's business.
    archived: Mapped[bool] = mapped_column(server_default="false")
    has_tickets: Mapped[bool] = mapped_column(
        Computed(_HAS_TICKETS, persisted=True), deferred=True, deferred_raiseload=True
    )
    search_text: Mapped[str | None] = mapped_column(
        TSVECTOR, Computed(_SEARCH_TEXT, persisted=True), deferred=True, deferred_raiseload=True
    )

    @property
    def committed(self) -> int:
        """Tickets that are booked or held for an offer."""
        return self.booked + self.offered

    @property
    def available(self) -> int:
        """Tickets that a new booking could get now."""
        return available_tickets(
            capacity=self.capacity,
            booked=self.booked,
            offered=self.offered,
            waitlist_enabled=self.waitlist_enabled,
            waiting=self.waiting,
        )
