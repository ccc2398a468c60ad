"""Users that exist to put load on an installation: `load-<i>@example.org`, who cannot log in."""

import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.services.tokens import mint_access_token
from shared.settings import Settings

_INSERT: Final = """
insert into users (name, email, role)
select 'Load ' || i, 'load-' || i || '@example.org', 'attendee' from generate_series(1, :count) i
on conflict (lower(email)) where deleted_at is null do nothing
"""
# Only those without a password: an address of this form that a person registered is that person's.
_SELECT: Final = """
select u.id from generate_series(1, :count) i
join users u on lower(u.email) = 'load-' || i || '@example.org' and u.deleted_at is null and u.password_hash is null
order by i
"""


def ensure_load_users(session: Session, count: int) -> list[int]:
    """Ids of load users 1…count; those that are missing are created without a password. Two round trips."""
    session.execute(text(_INSERT), {"count": count})
    return list(session.execute(text(_SELECT), {"count": count}).scalars())


def mint_load_tokens(
    settings: Settings, user_ids: list[int], *, now: datetime, lifetime_seconds: int
) -> Iterator[tuple[int, str]]:
    """An access token of an own log-in for each user. Some 30 µs each."""
    for user_id in user_ids:
        token = mint_access_token(
            settings.secret_key,
            user_id=user_id,
            role="attendee",
            family_id=uuid.uuid4(),
            now=now,
            lifetime_seconds=lifetime_seconds,
        )
        yield user_id, token
