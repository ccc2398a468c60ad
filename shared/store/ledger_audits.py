"""The nightly checks of all ledgers: whether one is due, that it runs, what it found."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

# A task worker that was away at the hour still has these many to begin in.
HOURS: Final = 3

_DUE: Final = text(
    """
select t.night, t.hour::int from (
    select (now() at time zone 'UTC')::date as night, extract(hour from now() at time zone 'UTC') as hour
) t
where t.hour >= :hour and t.hour < :hour + :hours
    and not exists (select from ledger_audits where night = t.night and ended_at is not null)
"""
)
_DONE: Final = text(
    "select exists (select from ledger_audits where night = (now() at time zone 'UTC')::date and ended_at is not null)"
)
_BEGIN: Final = text(
    """
insert into ledger_audits (night) values ((now() at time zone 'UTC')::date)
on conflict (night) do update set started_at = excluded.started_at, ended_at = null, ledger_rows = null,
    findings = null, failed = null
returning night
"""
)
_END: Final = text(
    """
update ledger_audits set ended_at = clock_timestamp(), ledger_rows = :rows, findings = :findings,
    failed = cast(:failed as jsonb)
where night = :night
"""
)
_LAST: Final = text(
    """
select night, started_at, ended_at, ledger_rows, findings from ledger_audits
where ended_at is not null order by night desc limit 1
"""
)


@dataclass(frozen=True, slots=True)
class AuditDone:
    """A check that came to its end, and what it found."""

    night: date
    started_at: datetime
    ended_at: datetime
    ledger_rows: int
    findings: int


def find_due_hour(session: Session, *, hour: int) -> str | None:
    """The night and hour in which a check is to begin now, such as `2030-01-15-03`, by PostgreSQL's clock in UTC; None
    when there is none. One row.
    """
    row = session.execute(_DUE, {"hour": hour, "hours": HOURS}).one_or_none()
    return None if row is None else f"{row.night.isoformat()}-{row.hour:02}"


def is_tonight_audited(session: Session) -> bool:
    """Whether tonight's check has come to its end. One row."""
    return bool(session.scalar(_DONE))


def begin_audit(session: Session) -> date:
    """Writes down that tonight's check has begun, again if it was cut off. One row."""
    night: date = session.execute(_BEGIN).scalar_one()
    return night


def end_audit(session: Session, night: date, *, rows: int, failed: Mapping[str, int]) -> None:
    """Writes down what it found: `failed` counts the findings of each check that has any. One row."""
    values = {"night": night, "rows": rows, "findings": sum(failed.values())}
    session.execute(_END, {**values, "failed": orjson.dumps(dict(failed)).decode()})


def find_last_audit(session: Session) -> AuditDone | None:
    """The last check that came to its end. One row."""
    row = session.execute(_LAST).one_or_none()
    return None if row is None else AuditDone(*row)
