"""The next row of an event's ledger."""

import uuid
from datetime import datetime

from shared.domain.ledger import LedgerRow, chain_hash
from shared.domain.outcomes import Verdict
from shared.domain.snapshot import EventState


def append_row(
    event: EventState,
    *,
    job_id: uuid.UUID,
    arrival: int | None,
    kind: str,
    user_id: int | None,
    tickets: int | None,
    verdict: Verdict,
    booking_id: uuid.UUID | None,
    accepted_at: datetime,
    now: datetime,
) -> LedgerRow:
    """The event's next ledger row, chained to the one before; moves the event's ledger head on."""
    row = LedgerRow(
        job_id=job_id,
        event_id=event.id,
        number=event.last_number + 1,
        arrival=arrival,
        kind=kind,
        user_id=user_id,
        tickets=tickets,
        outcome=verdict.outcome,
        reason=verdict.reason,
        booking_id=booking_id,
        available_after=event.available,
        facts=verdict.facts,
        accepted_at=accepted_at,
        decided_at=now,
    )
    row.hash = chain_hash(event.last_hash, row)
    event.last_number = row.number
    event.last_hash = row.hash
    event.last_decided_at = row.decided_at
    return row


def take_arrival(event: EventState, arrival: int) -> None:
    """The worker has the last word: whatever number the request carries, it gets its predecessor's successor.

    Another number is possible only when Redis lost writes it had acknowledged; that is counted.
    """
    if arrival != event.last_arrival + 1:
        event.arrivals_reissued += 1
    event.last_arrival += 1
