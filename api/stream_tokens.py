"""Tokens for one job's event stream: browsers' EventSource cannot send an Authorization header.

Good for one job and ten minutes, never logged, never an access token.
"""

import hashlib
import hmac
import time
import uuid
from functools import lru_cache
from typing import Final

LIFETIME_SECONDS: Final = 600
_DIGEST_CHARACTERS: Final = 32
_BLOCK_BYTES: Final = 64


def make_stream_token(secret: str, job_id: uuid.UUID, *, now: float | None = None) -> str:
    """A token that lets its bearer follow this job's stream for ten minutes."""
    expires = int(time.time() if now is None else now) + LIFETIME_SECONDS
    return f"{expires:x}.{_digest(secret, job_id, expires)}"


def is_valid_stream_token(secret: str, job_id: uuid.UUID, token: str, *, now: float | None = None) -> bool:
    """Whether the token is ours, for this job, and has not expired."""
    expires_text, _, digest = token.partition(".")
    try:
        expires = int(expires_text, 16)
    except ValueError:
        return False
    if not 0 <= expires < 1 << 40 or not digest.isascii():
        return False
    fresh = (time.time() if now is None else now) < expires
    return hmac.compare_digest(digest, _digest(secret, job_id, expires)) and fresh


def _digest(secret: str, job_id: uuid.UUID, expires: int) -> str:
    inner, outer = (half.copy() for half in _keyed(secret))
    inner.update(b"stream:%s:%d" % (job_id.bytes, expires))
    outer.update(inner.digest())
    return outer.hexdigest()[:_DIGEST_CHARACTERS]


@lru_cache(maxsize=4)
def _keyed(secret: str) -> tuple["hashlib._Hash", "hashlib._Hash"]:
    """HMAC-SHA256 (RFC 2104) as far as it depends on the secret alone: a process has one, and says a token with every
    202. `hmac.digest` takes 6 µs each time, the rest of it here 1.
    """
    key = secret.encode()
    block = (hashlib.sha256(key).digest() if len(key) > _BLOCK_BYTES else key).ljust(_BLOCK_BYTES, b"\0")
    return (
        hashlib.sha256(bytes(byte ^ 0x36 for byte in block)),
        hashlib.sha256(bytes(byte ^ 0x5C for byte in block)),
    )
