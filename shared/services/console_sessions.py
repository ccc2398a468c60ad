"""Sessions of the console: a log-in without tokens, for admins at a browser.

A session is a family of its own in `refresh_tokens`, whose one token nobody was ever given. So whatever ends
log-ins (a changed password, a closed account) ends this one too, and no bearer token belongs to it.
"""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import exists, func, select, update
from sqlalchemy.orm import Session

from shared.models import RefreshToken, RevokedToken, User
from shared.services import credentials
from shared.services.credentials import Attempt
from shared.services.passwords import PasswordCheck
from shared.settings import Settings
from shared.store.clock import read_clock

# A working day; whoever is still there then shows the password once more.
SESSION_SECONDS: Final = 8 * 3600


@dataclass(frozen=True, slots=True)
class ConsoleAdmin:
    """The admin whom a session belongs to."""

    user_id: int
    email: str


def start(
    session: Session, attempt: Attempt, check: PasswordCheck, *, settings: Settings
) -> uuid.UUID | None:
    """A new session of at most 8 hours; None when the password was wrong, which must be committed, or when it was
    right and the account is no admin's.

    Raises RefusedError `login_throttled`.
    """
    user = credentials.settle(session, attempt, check, settings=settings)
    if user is None or user.role != "admin":
        return None
    now = read_clock(session)
    family_id = uuid.uuid4()
    session.add(
        RefreshToken(
            id=uuid.uuid4(),
            family_id=family_id,
            user_id=user.id,
            created_at=now,
            expires_at=now + timedelta(seconds=SESSION_SECONDS),
        )
    )
    return family_id


def find_admin(session: Session, *, user_id: int, family_id: uuid.UUID) -> ConsoleAdmin | None:
    """Whose session it is, if it has neither ended nor expired and its user is an admin now. One round trip."""
    subjects = [f"family:{family_id}", f"user:{user_id}"]
    email = session.scalar(
        select(User.email)
        .join(RefreshToken, RefreshToken.user_id == User.id)
        .where(
            User.id == user_id,
            User.deleted_at.is_(None),
            User.role == "admin",
            RefreshToken.family_id == family_id,
            RefreshToken.used_at.is_(None),
            RefreshToken.expires_at > func.now(),
            ~exists().where(RevokedToken.subject.in_(subjects)),
        )
    )
    return None if email is None else ConsoleAdmin(user_id, email)


def end(session: Session, *, user_id: int, family_id: uuid.UUID) -> None:
    """Ends the session for good; nothing happens when it has ended before."""
    session.execute(
        update(RefreshToken)
        .where(
            RefreshToken.family_id == family_id,
            RefreshToken.user_id == user_id,
            RefreshToken.used_at.is_(None),
        )
        .values(used_at=read_clock(session))
    )
