"""Users that exist to put load on an installation: `load-<i>@example.org`, who cannot log in."""

import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.services.tokens import mint_access_token
from shared.settings import Settings

# Far below the statement timeout, also where a machine is ten times slower: a million at once take longer.
_AT_ONCE: Final = 20_000

_INSERT: Final = """
insert into users (name, email, role)
select 'Load ' || i, 'load-' || i || '@example.org', 'attendee' from generate_series(:first, :last) i
on conflict (lower(email)) where deleted_at is null do nothing
"""
# Only those without a password: an address of this form that a person registered is that person's. One look-up for
# each, by the index: joined, every slice would read all users while the table is not analysed.
_SELECT: Final = """
select u.id from generate_series(:first, :last) i
cross join lateral (
    select id from users
    where lower(email) = 'load-' || i || '@example.org' and deleted_at is null and password_hash is null
    limit 1
) u
order by i
"""


def ensure_load_users(session: Session, count: int, *, at_once: int = _AT_ONCE) -> list[int]:
    """Ids of load users 1…count; those that are missing are created without a password. Two round trips for each
    `at_once` of them, some 50 µs a user.
    """
    found: list[int] = []
    for first in range(1, count + 1, at_once):
        numbers = {"first": first, "last": min(first + at_once - 1, count)}
        session.execute(text(_INSERT), numbers)
        found += session.execute(text(_SELECT), numbers).scalars()
    return found


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
