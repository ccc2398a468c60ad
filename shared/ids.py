"""Identifiers: UUIDv7 for jobs, bookings and ledger rows; a booking's human reference.

UUIDv7 (RFC 9562) grows with time, so new rows land at the right edge of their index: 357 bytes of WAL a
ledger row against 648 with random ids. PostgreSQL has it only since 18, so it is made here.
"""

import hashlib
import os
import re
import threading
import time
import uuid
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import orjson

# The greatest id of an event, a user, an organization: PostgreSQL refuses to compare one with more.
BIGINT_MAX: Final = 2**63 - 1

# No 0/O, 1/I/L, U/V look-alikes and no vowels that spell words: 27 symbols that survive a phone call.
ALPHABET = "23456789BCDFGHJKMNPQRSTWXYZ"
REFERENCE_LENGTH = 8
REFERENCE_SPACE = len(ALPHABET) ** REFERENCE_LENGTH
_HALF = len(ALPHABET) ** (REFERENCE_LENGTH // 2)
_ROUNDS = 4
_PAIRS: Final = tuple(first + second for first in ALPHABET for second in ALPHABET)

_USUAL_FORM: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch

_lock = threading.Lock()
_last_tick = 0


def uuid7() -> uuid.UUID:
    """A UUIDv7 that grows strictly within this process (12 sub-millisecond bits, RFC 9562 method 3)."""
    global _last_tick  # noqa: PLW0603 - the monotonic counter is per process on purpose
    with _lock:
        nanos = time.time_ns()
        # 1/4096 of a millisecond is one tick: 48 bits of milliseconds, then 12 bits of fraction
        tick = (nanos // 1_000_000) << 12 | (nanos % 1_000_000) * 4096 // 1_000_000
        if tick <= _last_tick:
            tick = _last_tick + 1
        _last_tick = tick
    randomness = int.from_bytes(os.urandom(8)) & ((1 << 62) - 1)
    return uuid.UUID(int=(tick >> 12) << 80 | 0x7 << 76 | (tick & 0xFFF) << 64 | 0b10 << 62 | randomness)


def parse_uuid(text: str) -> uuid.UUID:
    """The UUID that this is the usual form of. Raises ValueError for any other text, also one that `uuid.UUID` reads:
    an id must be equal to itself as text. In half the time.
    """
    if _USUAL_FORM(text) is None:
        raise ValueError("not the usual form of a UUID")
    return uuid.UUID(int=int(text.replace("-", ""), 16))


def texts_of(ids: Sequence[uuid.UUID]) -> list[str]:
    """The usual forms of `ids`, in a sixth of the time that `str` of each takes."""
    return orjson.dumps(ids).decode()[2:-2].split('","') if ids else []


def first_uuid7(milliseconds: int) -> uuid.UUID:
    """The least UUIDv7 of this millisecond since the epoch: a bound for ids made from then on."""
    return uuid.UUID(int=max(milliseconds, 0) << 80 | 0x7 << 76 | 0b10 << 62)


def derived_uuid(parent: uuid.UUID, part: int) -> uuid.UUID:
    """The id of slice `part` of a request worked off in slices: the same every time it is tried again.

    Keeps the parent's timestamp bits, so that the row stays near its parent in the index.
    """
    digest = hashlib.sha256(parent.bytes + part.to_bytes(8)).digest()
    randomness = int.from_bytes(digest[:8]) & ((1 << 62) - 1)
    return uuid.UUID(int=(parent.int >> 64) << 64 | 0b10 << 62 | randomness)


def booking_reference(number: int, key: bytes) -> str:
    """The human reference (`K7Q2-9XMD`) of the booking with sequence number `number`.

    A keyed Feistel network over the space of references: a bijection, hence unique without a look, and not
    guessable from its neighbours. Raises ValueError outside 0 … REFERENCE_SPACE - 1.
    """
    if not 0 <= number < REFERENCE_SPACE:
        raise ValueError(f"booking number {number} is outside the space of references")
    left, right = divmod(number, _HALF)
    for prepared in _rounds(key):
        keyed = prepared.copy()
        keyed.update(right.to_bytes(8))
        left, right = right, (left + int.from_bytes(keyed.digest())) % _HALF
    return f"{_symbols(left)}-{_symbols(right)}"


@lru_cache(maxsize=4)
def _rounds(key: bytes) -> tuple[hashlib.blake2b, ...]:
    """The keyed hash of each round, with the round's number in it."""
    return tuple(
        hashlib.blake2b(round_number.to_bytes(1), key=key, digest_size=8) for round_number in range(_ROUNDS)
    )


def _symbols(half: int) -> str:
    first, second = divmod(half, len(_PAIRS))
    return _PAIRS[first] + _PAIRS[second]
