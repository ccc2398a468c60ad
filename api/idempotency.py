"""Idempotency-Key on creating POSTs other than the line's: repeated, they create nothing."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
from flask import Response, request

from shared.db import Session
from shared.domain.permissions import Actor
from shared.errors import GuichetError
from shared.services.idempotency import StoredAnswer, claim_key, store_answer

KEY_CHARACTERS_MAX: Final = 255
REPLAYED: Final = {"Idempotency-Replayed": "true"}
# What an answer says about its content; everything else belongs to one exchange (request id, date).
_KEPT_HEADERS: Final = ("Content-Type", "Location", "ETag", "Cache-Control", "Vary")


def idempotency_key(environ: Mapping[str, Any]) -> str | None:
    """The request's key, bare or quoted (both spell the same key), or None.

    Raises GuichetError `bad_request` when it is empty, too long, or has characters other than printable
    ASCII.
    """
    raw: str | None = environ.get("HTTP_IDEMPOTENCY_KEY", environ.get("HTTP_X_IDEMPOTENCY_KEY"))
    if raw is None:
        return None
    key = raw.strip()
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = key[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    if not 1 <= len(key) <= KEY_CHARACTERS_MAX or not key.isascii() or not key.isprintable():
        raise GuichetError(
            "bad_request", f"Idempotency-Key must have 1 to {KEY_CHARACTERS_MAX} printable ASCII characters."
        )
    return key


def answer_once(
    session: Session, *, actor: Actor, kind: str, payload: Mapping[str, Any], make: Callable[[], Response]
) -> Response:
    """What `make` answers, once per actor and key: the same again for a repeated request, marked as replayed.

    Key and answer stand in the same transaction as what was created. A refusal is not remembered: `make`
    raises, and the transaction with the key is rolled back. Raises `idempotency_key_reused` for another kind
    or payload.
    """
    key = idempotency_key(request.environ)
    if key is None:
        return make()
    owner = f"user:{actor.user_id}"
    key_hash = hashlib.sha256(key.encode()).digest()
    fingerprint = fingerprint_of(kind, payload)
    stored = claim_key(session, actor=owner, key_hash=key_hash, fingerprint=fingerprint)
    if stored is not None:
        return Response(stored.body, status=stored.status, headers={**stored.headers, **REPLAYED})
    response = make()
    kept = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    answer = StoredAnswer(status=response.status_code, headers=kept, body=response.get_data())
    store_answer(session, actor=owner, key_hash=key_hash, answer=answer)
    return response


def fingerprint_of(kind: str, payload: Mapping[str, Any]) -> bytes:
    """sha256 of the kind of request and its checked payload: equal for every spelling of the same."""
    canonical = orjson.dumps(
        [kind, dict(payload)], option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z, default=str
    )
    return hashlib.sha256(canonical).digest()
