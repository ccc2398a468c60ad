"""Hosts as everybody sees them."""

from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.domain.events import MAX_DURATION

# Whoever may host by their role, and whoever is named beside an event that everybody sees. An admin who hosts nothing
# is nobody's business.
_IS_HOST: Final = """u.deleted_at is null and (u.role = 'host' or exists (
    select from events e where e.host_id = u.id and e.deleted_at is null and e.status <> 'draft'
))"""

# Nothing lasts longer than MAX_DURATION, so the index on starts_at need not be read further back.
_PROFILE: Final = f"""
select u.id, u.name, u.created_at,
    (select count(*) from follows f where f.host_id = u.id) as followers,
    (select count(*) from events e where e.host_id = u.id and e.deleted_at is null and e.status = 'scheduled'
        and e.ends_at > now() and e.starts_at > now() - interval '{MAX_DURATION.days} days') as upcoming_events
from users u where u.id = :host_id and {_IS_HOST}
"""  # noqa: S608 - constants only


def find_host(session: Session, host_id: int) -> dict[str, Any] | None:
    """The host's profile with its counts, None for who is no host. One round trip; counts the followers."""
    row = session.execute(text(_PROFILE), {"host_id": host_id}).mappings().one_or_none()
    return None if row is None else dict(row)


def is_host(session: Session, user_id: int) -> bool:
    """Whether that is a host. One round trip."""
    statement = text(f"select exists (select from users u where u.id = :user_id and {_IS_HOST})")  # noqa: S608
    found: bool = session.execute(statement, {"user_id": user_id}).scalar_one()
    return found
