"""Who asks: bearer tokens, checked without I/O for the line, and against the database for everything else."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from flask import Flask, current_app, g, request
from flask_jwt_extended import JWTManager, decode_token
from flask_jwt_extended.exceptions import JWTDecodeError, JWTExtendedException
from jwt import PyJWTError

from shared.db import Session
from shared.domain.permissions import Actor, Role
from shared.errors import GuichetError
from shared.services import accounts
from shared.services.tokens import ALGORITHM, AUDIENCE, ISSUER, read_access_token
from shared.settings import Settings

# Hosts' clocks differ by a little; a token may look as if it came from the future by this much.
_LEEWAY: Final = timedelta(seconds=5)
# 4,000 tokens are some 3 MB; a check costs 15 µs, a look into the cache less than one.
CACHED_TOKENS_MAX: Final = 4_000
_EXTENSION: Final = "guichet-tokens"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a valid access token says. Whether it was revoked is not known yet."""

    user_id: int
    role: str  # at the time of issue; only for display
    family_id: str  # the log-in
    expires_at: float  # seconds since the epoch

    @property
    def subjects(self) -> tuple[str, str]:
        """What a revocation may name to end this token."""
        return f"family:{self.family_id}", f"user:{self.user_id}"


@dataclass(frozen=True, slots=True)
class RefreshClaims:
    """What a valid refresh token says. Whether it was used is in the database."""

    token_id: uuid.UUID
    family_id: uuid.UUID
    user_id: int


class VerifiedTokens:
    """Access tokens whose signature was checked by this process, at most `capacity`: the oldest leave."""

    def __init__(self, capacity: int = CACHED_TOKENS_MAX) -> None:
        self._capacity = capacity
        self._identities: dict[str, Identity] = {}

    def __len__(self) -> int:
        return len(self._identities)

    def find(self, token: str, now: float) -> Identity | None:
        """The identity of a token seen before, unless it has expired at `now`."""
        identity = self._identities.get(token)
        if identity is not None and identity.expires_at <= now:
            self._identities.pop(token, None)
            return None
        return identity

    def add(self, token: str, identity: Identity) -> None:
        """Remembers a token, forgetting the oldest when full. Safe in threads: single dict operations."""
        while len(self._identities) >= self._capacity:
            oldest = next(iter(self._identities), None)
            if oldest is not None:
                self._identities.pop(oldest, None)
        self._identities[token] = identity


def init_jwt(app: Flask, settings: Settings) -> None:
    """Makes `app` check tokens as `shared/services/tokens.py` makes them."""
    app.config.update(
        JWT_SECRET_KEY=settings.secret_key,
        JWT_ALGORITHM=ALGORITHM,
        JWT_DECODE_ALGORITHMS=[ALGORITHM],
        JWT_ENCODE_ISSUER=ISSUER,
        JWT_DECODE_ISSUER=ISSUER,
        JWT_ENCODE_AUDIENCE=AUDIENCE,
        JWT_DECODE_AUDIENCE=AUDIENCE,
        JWT_DECODE_LEEWAY=_LEEWAY,
        JWT_TOKEN_LOCATION=["headers"],
        JWT_ACCESS_TOKEN_EXPIRES=timedelta(seconds=settings.access_token_seconds),
        JWT_REFRESH_TOKEN_EXPIRES=timedelta(seconds=settings.refresh_token_seconds),
    )

    def find_key(_header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
        # Flask-JWT-Extended takes a token without `type` for an access token; this hook comes before that
        if "type" not in claims:
            raise JWTDecodeError("Missing claim: type")
        return settings.secret_key

    JWTManager(app).decode_key_loader(find_key)
    app.extensions[_EXTENSION] = VerifiedTokens()


def current_identity() -> Identity:
    """Whose access token the current request carries. No I/O; raises GuichetError `unauthenticated`."""
    token = bearer_token()
    verified: VerifiedTokens = current_app.extensions[_EXTENSION]
    identity = verified.find(token, time.time())
    if identity is None:
        identity = _decode_access_token(token)
        verified.add(token, identity)
    g.user_id = identity.user_id  # for the access log
    return identity


def require_actor(session: Session, *roles: Role) -> Actor:
    """Who acts in the current request, with the role that the database knows. One round trip.

    Raises GuichetError `unauthenticated` (also when revoked), `forbidden` when the role is none of `roles`.
    """
    identity = current_identity()
    actor = accounts.find_actor(
        session, user_id=identity.user_id, family_id=identity.family_id, subjects=identity.subjects
    )
    if actor is None:
        raise GuichetError("unauthenticated")
    if roles and actor.role not in roles:
        raise GuichetError("forbidden")
    return actor


def optional_actor(session: Session) -> Actor | None:
    """Like `require_actor`; None without an Authorization header."""
    return require_actor(session) if "Authorization" in request.headers else None


def bearer_token() -> str:
    """The token in the Authorization header; raises GuichetError `unauthenticated`."""
    header: str = request.environ.get("HTTP_AUTHORIZATION", "")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise GuichetError("unauthenticated")
    return token.strip()


def decode_refresh_token(token: str) -> RefreshClaims:
    """The claims of a refresh token with a valid signature; raises GuichetError `unauthenticated`."""
    claims = _decode(token, "refresh")
    try:
        return RefreshClaims(uuid.UUID(claims["jti"]), uuid.UUID(claims["fam"]), int(claims["sub"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise GuichetError("unauthenticated") from error


def _decode_access_token(token: str) -> Identity:
    secret: str = current_app.config["JWT_SECRET_KEY"]
    # Nearly every token was minted here and is good; in an on-sale a process has seen few of them before.
    return _identity_of(read_access_token(secret, token, time.time()) or _decode(token, "access"))


def _identity_of(claims: Mapping[str, Any]) -> Identity:
    try:
        family_id = str(uuid.UUID(claims["fam"]))
        return Identity(int(claims["sub"]), str(claims["role"]), family_id, float(claims["exp"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise GuichetError("unauthenticated") from error


def _decode(token: str, wanted_type: str) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = decode_token(token)
    except (PyJWTError, JWTExtendedException, ValueError, TypeError) as error:
        raise GuichetError("unauthenticated") from error
    if claims["type"] != wanted_type:
        raise GuichetError("unauthenticated")
    return claims
