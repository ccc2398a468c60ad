"""The tables, one file a noun. `migrations/` is the truth; a contract test compares the two."""

from shared.models.accounts import LoginFailure, RefreshToken, RevokedToken
from shared.models.analytics import (
    ActivityDay,
    AnalyticsState,
    DayRevenue,
    DayTotals,
    EventDay,
    EventDayRevenue,
    EventMonth,
    EventTotals,
    StartDay,
    UserDay,
)
from shared.models.audit_log import AuditLogEntry
from shared.models.base import Base
from shared.models.bookings import Booking
from shared.models.decisions import Decision
from shared.models.events import Event
from shared.models.follows import Follow
from shared.models.idempotency import IdempotencyKey
from shared.models.interests import Interest
from shared.models.ledger_audits import LedgerAudit
from shared.models.line import ControlRequest, LineState
from shared.models.notifications import Notification
from shared.models.organizations import Organization, OrganizationMember
from shared.models.outbox import OutboxMessage
from shared.models.users import User
from shared.models.waitlist import Offer, WaitlistEntry

__all__ = [
    "ActivityDay",
    "AnalyticsState",
    "AuditLogEntry",
    "Base",
    "Booking",
    "ControlRequest",
    "DayRevenue",
    "DayTotals",
    "Decision",
    "Event",
    "EventDay",
    "EventDayRevenue",
    "EventMonth",
    "EventTotals",
    "Follow",
    "IdempotencyKey",
    "Interest",
    "LedgerAudit",
    "LineState",
    "LoginFailure",
    "Notification",
    "Offer",
    "Organization",
    "OrganizationMember",
    "OutboxMessage",
    "RefreshToken",
    "RevokedToken",
    "StartDay",
    "User",
    "UserDay",
    "WaitlistEntry",
]
