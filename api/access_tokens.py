"""Who an access token says asks, for tokens as they are minted here; nothing of it asks Flask."""

import hashlib
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.errors import GuichetError
from shared.services.tokens import read_access_token

# They are 0.9 MB; a check costs 15 µs, a look into the cache one. A dictionary whose oldest entry leaves for every new
# one keeps room for three times what is in it, in powers of two: this many are as much as fits into one of them.
CACHED_TOKENS_MAX: Final = 2_730


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


class AccessTokens:
    """One process' tokens: it remembers those whose signature it has checked, at most `capacity`; the oldest leave."""

    def __init__(self, secret: str, *, capacity: int = CACHED_TOKENS_MAX) -> None:
        self._secret, self._capacity = secret, capacity
        # By their digests: a token has three hundred characters.
        self._identities: dict[bytes, Identity] = {}

    def __len__(self) -> int:
        return len(self._identities)

    def read(self, environ: Mapping[str, Any]) -> Identity | None:
        """Whose token a request carries. None for every token that is not just as it is minted here: whether it is
        good too, and why it is not, is for api/auth.py to say. No I/O.
        """
        token = bearer_token(environ)
        if token is None:
            return None
        now = time.time()
        identity = self.find(token, now)
        if identity is None and (claims := read_access_token(self._secret, token, now)) is not None:
            try:
                identity = identity_of(claims)
            except GuichetError:
                return None  # ours by its signature, and not as we make them
            self.add(token, identity)
        return identity

    def find(self, token: str, now: float) -> Identity | None:
        """The identity of a token seen before, unless it has expired at `now`."""
        digest = _digest(token)
        identity = self._identities.get(digest)
        if identity is not None and identity.expires_at <= now:
            self._identities.pop(digest, None)
            return None
        return identity

    def add(self, token: str, identity: Identity) -> None:
        """Remembers a token, forgetting the oldest when full. Safe in threads: single dict operations."""
        while len(self._identities) >= self._capacity:
            oldest = next(iter(self._identities), None)
            if oldest is not None:
                self._identities.pop(oldest, None)
        self._identities[_digest(token)] = identity


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


def bearer_token(environ: Mapping[str, Any]) -> str | None:
    """The token in the Authorization header, None when there is none."""
    header: str = environ.get("HTTP_AUTHORIZATION", "")
    scheme, _, token = header.partition(" ")
    return token.strip() if token and scheme.lower() == "bearer" else None


def identity_of(claims: Mapping[str, Any]) -> Identity:
    """The identity that claims with a valid signature name; raises GuichetError `unauthenticated` when they do not."""
    try:
        family_id = str(uuid.UUID(claims["fam"]))
        role = sys.intern(str(claims["role"]))  # there are few, and many who have one
        return Identity(int(claims["sub"]), role, family_id, float(claims["exp"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise GuichetError("unauthenticated") from error
