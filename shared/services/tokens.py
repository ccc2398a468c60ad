"""JSON Web Tokens: how they are made. Without Flask, so that `guichet tokens` mints 10,000 in a second.

`api/auth.py` checks them. Both kinds carry issuer, audience and `type`: a refresh token is no access token.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import jwt

ALGORITHM: Final = "HS256"
ISSUER: Final = "guichet"
AUDIENCE: Final = "guichet"


def mint_access_token(
    secret: str, *, user_id: int, role: str, family_id: uuid.UUID, now: datetime, lifetime_seconds: int
) -> str:
    """An access token of the log-in `family_id`. The role is for display only: doors ask the database."""
    claims = {"type": "access", "jti": str(uuid.uuid4()), "role": role}
    return _mint(
        secret, claims, user_id=user_id, family_id=family_id, now=now, lifetime_seconds=lifetime_seconds
    )


def mint_refresh_token(
    secret: str,
    *,
    token_id: uuid.UUID,
    user_id: int,
    family_id: uuid.UUID,
    now: datetime,
    lifetime_seconds: int,
) -> str:
    """The refresh token whose row in `refresh_tokens` is `token_id`."""
    claims = {"type": "refresh", "jti": str(token_id)}
    return _mint(
        secret, claims, user_id=user_id, family_id=family_id, now=now, lifetime_seconds=lifetime_seconds
    )


def _mint(
    secret: str,
    claims: Mapping[str, object],
    *,
    user_id: int,
    family_id: uuid.UUID,
    now: datetime,
    lifetime_seconds: int,
) -> str:
    payload = {
        **claims,
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(user_id),
        "fam": str(family_id),
        "iat": now,
        "exp": now + timedelta(seconds=lifetime_seconds),
    }
    return jwt.encode(payload, secret, algorithm=ALGORITHM)
