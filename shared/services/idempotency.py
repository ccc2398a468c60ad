"""Answers of creating POSTs, kept so that a repeated one creates nothing. The line keeps its own."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.errors import GuichetError
from shared.models import IdempotencyKey


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """What the first request got."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def claim_key(session: Session, *, actor: str, key_hash: bytes, fingerprint: bytes) -> StoredAnswer | None:
    """None when the key is new: it is claimed, and `store_answer` must follow in this transaction. Otherwise
    the answer of the first request.

    A concurrent request with the same key waits here for the first one's end, since both insert the same
    primary key; if the first is rolled back, this one takes its place. Raises `idempotency_key_reused`. One
    round trip, two for a known key.
    """
    inserted = session.execute(
        insert(IdempotencyKey)
        .values(actor=actor, key_hash=key_hash, fingerprint=fingerprint, status=0, headers={}, body=b"")
        .on_conflict_do_nothing()
        .returning(IdempotencyKey.status)
    ).one_or_none()
    if inserted is not None:
        return None
    row = session.execute(select(IdempotencyKey).where(_is(actor, key_hash))).scalar_one()
    if row.fingerprint != fingerprint:
        raise GuichetError("idempotency_key_reused")
    return StoredAnswer(status=row.status, headers=row.headers, body=row.body)


def store_answer(session: Session, *, actor: str, key_hash: bytes, answer: StoredAnswer) -> None:
    """Keeps the answer under a key claimed in this transaction."""
    session.execute(
        update(IdempotencyKey)
        .where(_is(actor, key_hash))
        .values(status=answer.status, headers=dict(answer.headers), body=answer.body)
    )


def _is(actor: str, key_hash: bytes) -> ColumnElement[bool]:
    return and_(IdempotencyKey.actor == actor, IdempotencyKey.key_hash == key_hash)
