"""Every control row of the ledger has its audit-log row, and the reverse."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.domain.findings import Finding
from shared.services.audit.findings import Tally

# Control rows of the ledger, each with the audit-log rows of its job id and event.
_UNLOGGED: Final = """
select d.event_id, d.number, d.job_id from decisions d
where d.kind in ('event_set', 'drain') and (cast(:event as bigint) is null or d.event_id = :event) and not exists (
    select from audit_log a
    where a.job_id = d.job_id and a.target_type = 'event' and a.target_id = cast(d.event_id as text))
"""
# A call-off that still waits in the line has no ledger row yet; its control request stands for it.
_UNDONE: Final = """
select a.id, a.job_id, a.target_id from audit_log a
where a.job_id is not null and (cast(:event as bigint) is null or a.target_id = cast(:event as text))
    and not exists (select from decisions d where d.job_id = a.job_id)
    and not exists (select from control_requests c where c.job_id = a.job_id)
"""
_CONTROL_ROWS: Final = """
select count(*) from decisions
where kind in ('event_set', 'drain') and (cast(:event as bigint) is null or event_id = :event)
"""


def compare_audit_log(session: Session, event_id: int | None, tally: Tally) -> None:
    """Looks both ways, for all events or one. Three statements."""
    parameters = {"event": event_id}
    tally.examined["audit_log"] += session.execute(text(_CONTROL_ROWS), parameters).scalar_one()
    for event, number, job_id in session.execute(text(_UNLOGGED), parameters):
        unlogged = Finding(
            check="audit_log",
            what="audit_log row",
            expected="one",
            found=None,
            event_id=event,
            number=number,
            job_id=job_id,
        )
        tally.add(unlogged)
    for entry_id, job_id, target in session.execute(text(_UNDONE), parameters):
        found = f"audit_log {entry_id} of {target}"
        tally.add(Finding(check="audit_log", what="ledger row", expected="one", found=found, job_id=job_id))
