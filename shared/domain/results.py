"""The result of a decision, as the worker replies it and the API reads it: from Redis or from the ledger alike."""

from typing import Any

from shared.clock import rfc3339, rfc3339_or_none
from shared.domain.ledger import LedgerRow
from shared.domain.outcomes import CANCELLED
from shared.domain.snapshot import BookingState


def result_document(row: LedgerRow, booking: BookingState | None) -> dict[str, Any]:
    """JSON values only. `booking` is shown as the decision left it, so that an answer never changes."""
    return {
        "outcome": row.outcome,
        "reason": row.reason,
        "facts": row.facts,
        "number": row.number,
        "arrival": row.arrival,
        "available_after": row.available_after,
        "decided_at": rfc3339(row.decided_at),
        "booking": None if booking is None else _booking_document(row, booking),
    }


def _booking_document(row: LedgerRow, booking: BookingState) -> dict[str, Any]:
    cancelled = row.outcome == CANCELLED
    return {
        "id": str(booking.id),
        "reference": booking.reference,
        "user_id": booking.user_id,
        "tickets": booking.tickets,
        "status": row.outcome,
        "price_minor": booking.price_minor,
        "currency": booking.currency,
        "arrival": booking.arrival,
        "created_at": rfc3339_or_none(booking.created_at),
        "cancelled_at": rfc3339(row.decided_at) if cancelled else None,
    }
