"""The tables, one file a noun. `migrations/` is the truth; a contract test compares the two."""

from shared.models.accounts import LoginFailure, RefreshToken, RevokedToken
from shared.models.audit_log import AuditLogEntry
from shared.models.base import Base
from shared.models.bookings import Booking
from shared.models.decisions import Decision
from shared.models.events import Event
from shared.models.idempotency import IdempotencyKey
from shared.models.line import ControlRequest, LineState
from shared.models.users import User

__all__ = [
    "AuditLogEntry",
    "Base",
    "Booking",
    "ControlRequest",
    "Decision",
    "Event",
    "IdempotencyKey",
    "LineState",
    "LoginFailure",
    "RefreshToken",
    "RevokedToken",
    "User",
]
