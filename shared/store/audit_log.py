"""Reading the audit log, newest first."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy.orm import Session

from shared.clock import to_micros
from shared.ids import first_uuid7
from shared.store.paging import ListQuery, Page, PageRequest, fetch_page

_COLUMNS: Final = """
    a.id, a.actor_id, u.name as actor_name, a.action, a.target_type, a.target_id, a.reason, a.changes, a.job_id,
    a.request_id, a.at
"""
_TABLES: Final = "audit_log a left join users u on u.id = a.actor_id"

# An entry's id is made by a process' clock, `at` by the database's; those of one installation differ by less.
CLOCK_SLACK: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLogFilter:
    """Which entries; None does not filter. `since` counts, `until` does not."""

    actor_id: int | None = None
    action: str | None = None
    target_type: str | None = None
    target_id: str | None = None
    request_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def list_audit_log(session: Session, wanted: AuditLogFilter, page: PageRequest) -> Page:
    """A page of entries by id, which grows with time. One round trip, two with a total.

    Each filter has an index that gives the entries in this order; for instants it is the primary key, because an
    id begins with its own: the page costs what it shows, not what the log holds.
    """
    parameters: dict[str, Any] = {
        "actor_id": wanted.actor_id,
        "action": wanted.action,
        "target_type": wanted.target_type,
        "target_id": wanted.target_id,
        "request_id": wanted.request_id,
    }
    conditions = [f"a.{name} = :{name}" for name, value in parameters.items() if value is not None]
    if wanted.since is not None:
        conditions.append("a.at >= :since and a.id >= :since_id")
        parameters |= {"since": wanted.since, "since_id": _bound(wanted.since - CLOCK_SLACK)}
    if wanted.until is not None:
        conditions.append("a.at < :until and a.id < :until_id")
        parameters |= {"until": wanted.until, "until_id": _bound(wanted.until + CLOCK_SLACK)}
    query = ListQuery(
        columns=_COLUMNS, tables=_TABLES, conditions=conditions, parameters=parameters, key="a.id", id="a.id"
    )
    return fetch_page(session, query, page)


def _bound(instant: datetime) -> uuid.UUID:
    return first_uuid7(to_micros(instant) // 1000)
