"""Log-ins: each is a family of tokens that lives by rotating its refresh token and dies as a whole.

Who starts, rotates or revokes first locks the user's row, so a rotation cannot slip a fresh token past a
revocation that runs beside it.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.models import RefreshToken, RevokedToken, User
from shared.services.tokens import mint_access_token, mint_refresh_token
from shared.settings import Settings
from shared.store.clock import read_clock

# subject → until when it must be remembered; what LineClient.revoke takes after the commit.
Revocations = Mapping[str, datetime]

# Clocks of API hosts may differ a little: a revocation is remembered this long after the last token expired.
_CLOCK_MARGIN: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a client gets at each log-in and each rotation; `expires_in` are the access token's seconds."""

    access_token: str
    refresh_token: str
    expires_in: int


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody with fresh tokens."""

    user: User
    pair: TokenPair


@dataclass(frozen=True, slots=True)
class Rotation:
    """Fresh tokens, or none; then the family was revoked, which must be committed all the same."""

    signed_in: SignedIn | None = None
    revocations: Revocations = field(default_factory=dict)


def lock_user(session: Session, user_id: int) -> User | None:
    """The live user, locked until the transaction ends (but not against rows that refer to it)."""
    return session.scalar(
        select(User)
        .where(User.id == user_id, User.deleted_at.is_(None))
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )


def start(session: Session, user: User, *, settings: Settings) -> SignedIn:
    """A new log-in of `user`, whose row the caller has locked or just made."""
    now = read_clock(session)
    return SignedIn(user, _next_pair(session, user, family_id=uuid.uuid4(), settings=settings, now=now))


def rotate(
    session: Session, *, token_id: uuid.UUID, family_id: uuid.UUID, user_id: int, settings: Settings
) -> Rotation:
    """Uses up a refresh token of valid signature and gives the next pair; a second use revokes its family."""
    user = lock_user(session, user_id)
    if user is None:
        return Rotation()
    now = read_clock(session)
    used = session.scalar(
        update(RefreshToken)
        .where(
            RefreshToken.id == token_id, RefreshToken.family_id == family_id, RefreshToken.user_id == user_id
        )
        .where(RefreshToken.used_at.is_(None), RefreshToken.expires_at > now)
        .values(used_at=now)
        .returning(RefreshToken.id)
    )
    if used is None:
        return Rotation(revocations=revoke_families(session, [family_id], settings=settings))
    return Rotation(
        SignedIn(user, _next_pair(session, user, family_id=family_id, settings=settings, now=now))
    )


def revoke_families(session: Session, family_ids: Iterable[uuid.UUID], *, settings: Settings) -> Revocations:
    """Ends these log-ins: refresh tokens are used up, access tokens revoked. The user is locked."""
    families = list(family_ids)
    now = read_clock(session)
    session.execute(
        update(RefreshToken)
        .where(RefreshToken.family_id.in_(families), RefreshToken.used_at.is_(None))
        .values(used_at=now)
    )
    return _revoke(session, [f"family:{family}" for family in families], settings=settings, now=now)


def revoke_other_families(
    session: Session, user_id: int, *, keep: uuid.UUID, settings: Settings
) -> Revocations:
    """Ends every log-in of the user but `keep`. The user is locked."""
    others = session.scalars(
        select(RefreshToken.family_id)
        .distinct()
        .where(
            RefreshToken.user_id == user_id,
            RefreshToken.family_id != keep,
            RefreshToken.expires_at > func.now(),
        )
    )
    return revoke_families(session, others, settings=settings)


def revoke_user(session: Session, user_id: int, *, settings: Settings) -> Revocations:
    """Ends every log-in of the user, also those without a refresh token. The user is locked."""
    now = read_clock(session)
    session.execute(
        update(RefreshToken)
        .where(RefreshToken.user_id == user_id, RefreshToken.used_at.is_(None))
        .values(used_at=now)
    )
    return _revoke(session, [f"user:{user_id}"], settings=settings, now=now)


def _next_pair(
    session: Session, user: User, *, family_id: uuid.UUID, settings: Settings, now: datetime
) -> TokenPair:
    token = RefreshToken(
        id=uuid.uuid4(),
        family_id=family_id,
        user_id=user.id,
        created_at=now,
        expires_at=now + timedelta(seconds=settings.refresh_token_seconds),
    )
    session.add(token)
    access_token = mint_access_token(
        settings.secret_key,
        user_id=user.id,
        role=user.role,
        family_id=family_id,
        now=now,
        lifetime_seconds=settings.access_token_seconds,
    )
    refresh_token = mint_refresh_token(
        settings.secret_key,
        token_id=token.id,
        user_id=user.id,
        family_id=family_id,
        now=now,
        lifetime_seconds=settings.refresh_token_seconds,
    )
    return TokenPair(access_token, refresh_token, settings.access_token_seconds)


def _revoke(session: Session, subjects: list[str], *, settings: Settings, now: datetime) -> Revocations:
    if not subjects:
        return {}
    expires_at = now + timedelta(seconds=settings.access_token_seconds) + _CLOCK_MARGIN
    statement = insert(RevokedToken).values(
        [{"subject": subject, "revoked_at": now, "expires_at": expires_at} for subject in subjects]
    )
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[RevokedToken.subject],
            set_={
                "revoked_at": statement.excluded.revoked_at,
                "expires_at": func.greatest(RevokedToken.expires_at, statement.excluded.expires_at),
            },
        )
    )
    return dict.fromkeys(subjects, expires_at)
