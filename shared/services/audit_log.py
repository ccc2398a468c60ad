"""Writing down who changed what, and why."""

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from shared.ids import uuid7
from shared.models import AuditLogEntry


def record(
    session: Session,
    *,
    actor_id: int | None,
    action: str,
    target_type: str,
    target_id: object,
    reason: str | None = None,
    changes: Mapping[str, Any] | None = None,
    job_id: uuid.UUID | None = None,
    request_id: str | None = None,
    by: str | None = None,
) -> None:
    """Adds one row in the caller's transaction, so that a change and its record stand or fall together.

    `actor_id` is None for a command on the server, and `by` who typed it there, which stands in `changes`; `job_id`
    is the ledger row that the change wrote, if any; `changes` holds JSON values.
    """
    typed_by = {} if by is None else {"by": by}
    session.add(
        AuditLogEntry(
            id=uuid7(),
            actor_id=actor_id,
            action=action,
            target_type=target_type,
            target_id=str(target_id),
            reason=reason,
            changes={**(changes or {}), **typed_by},
            job_id=job_id,
            request_id=request_id,
        )
    )
