"""Who asks: bearer tokens, checked without I/O for the line, and against the database for everything else."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from flask import Flask, current_app, request
from flask_jwt_extended import JWTManager, decode_token
from flask_jwt_extended.exceptions import JWTDecodeError, JWTExtendedException
from jwt import PyJWTError

from api.access_tokens import AccessTokens, Identity, bearer_token, identity_of
from api.exchange import Exchange, current_exchange
from shared.db import Session
from shared.domain.permissions import Actor, Role
from shared.errors import GuichetError
from shared.services import accounts
from shared.services.tokens import ALGORITHM, AUDIENCE, ISSUER
from shared.settings import Settings

# Hosts' clocks differ by a little; a token may look as if it came from the future by this much.
_LEEWAY: Final = timedelta(seconds=5)
_EXTENSION: Final = "guichet-tokens"


@dataclass(frozen=True, slots=True)
class RefreshClaims:
    """What a valid refresh token says. Whether it was used is in the database."""

    token_id: uuid.UUID
    family_id: uuid.UUID
    user_id: int


def init_jwt(app: Flask, settings: Settings, tokens: AccessTokens) -> None:
    """Makes `app` check tokens as `shared/services/tokens.py` makes them, and remember them in `tokens`."""
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
    app.extensions[_EXTENSION] = tokens


def current_identity() -> Identity:
    """Whose access token the current request carries. No I/O; raises GuichetError `unauthenticated`."""
    return identify(current_exchange())


def identify(exchange: Exchange) -> Identity:
    """Whose access token a request carries; outside Flask only where `exchange.identity` is known. Raises GuichetError
    `unauthenticated`.
    """
    if exchange.identity is None:
        exchange.identity = _read_identity()
    return exchange.identity


def _read_identity() -> Identity:
    tokens: AccessTokens = current_app.extensions[_EXTENSION]
    identity = tokens.read(request.environ)
    if identity is None:
        token = require_bearer_token()
        # Nearly every token was minted here and is good: this one is not, or strange.
        identity = identity_of(_decode(token, "access"))
        tokens.add(token, identity)
    return identity


def require_actor(session: Session, *roles: Role) -> Actor:
    """Who acts in the current request, with the role that the database knows. One round trip.

    Raises GuichetError `unauthenticated` (also when revoked), `forbidden` when the role is none of `roles`.
    """
    actor = find_actor(session, current_identity())
    if roles and actor.role not in roles:
        raise GuichetError("forbidden")
    return actor


def find_actor(session: Session, identity: Identity) -> Actor:
    """The same for an identity, whatever the role. One round trip; raises GuichetError `unauthenticated`."""
    actor = accounts.find_actor(
        session, user_id=identity.user_id, family_id=identity.family_id, subjects=identity.subjects
    )
    if actor is None:
        raise GuichetError("unauthenticated")
    return actor


def optional_actor(session: Session) -> Actor | None:
    """Like `require_actor`; None without an Authorization header."""
    return require_actor(session) if "Authorization" in request.headers else None


def require_bearer_token() -> str:
    """The token in the Authorization header; raises GuichetError `unauthenticated`."""
    token = bearer_token(request.environ)
    if token is None:
        raise GuichetError("unauthenticated")
    return token


def decode_refresh_token(token: str) -> RefreshClaims:
    """The claims of a refresh token with a valid signature; raises GuichetError `unauthenticated`."""
    claims = _decode(token, "refresh")
    try:
        return RefreshClaims(uuid.UUID(claims["jti"]), uuid.UUID(claims["fam"]), int(claims["sub"]))
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
