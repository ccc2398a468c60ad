"""Tokens for one job's event stream: browsers' EventSource cannot send an Authorization header.

Good for one job and ten minutes, never logged, never an access token.
"""

import hmac
import time
import uuid
from typing import Final

from shared.services.signatures import sign

LIFETIME_SECONDS: Final = 600
_DIGEST_CHARACTERS: Final = 32


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
    return sign(secret, b"stream:%s:%d" % (job_id.bytes, expires)).hex()[:_DIGEST_CHARACTERS]
