"""Password hashes: argon2id, at most a few at once, and the same time for accounts that do not exist."""

import base64
import os
import sys
import threading
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from shared.errors import UnavailableError
from shared.settings import Settings

# How long a log-in waits for its turn: longer, and people press the button again.
WAIT_SECONDS_MAX: Final = 2.0
_PARALLELISM: Final = 1
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PasswordCheck:
    """What comparing a password with a hash gave; `new_hash` is to be stored, made with newer parameters."""

    matches: bool
    new_hash: str | None = None


class Passwords:
    """Makes and checks hashes; one object a process, because the cap on concurrent hashes is its own.

    argon2id takes `hash_memory_kib` of memory and tens of milliseconds of a core on purpose. Without the cap,
    a few hundred log-ins at once would take the machine.
    """

    def __init__(self, settings: Settings, *, wait_seconds_max: float = WAIT_SECONDS_MAX) -> None:
        self._hasher = PasswordHasher(
            time_cost=settings.hash_time_cost,
            memory_cost=settings.hash_memory_kib,
            parallelism=_PARALLELISM,
            hash_len=_HASH_BYTES,
            salt_len=_SALT_BYTES,
        )
        self._turns = threading.BoundedSemaphore(settings.hash_concurrency)
        self._wait_seconds_max = wait_seconds_max
        self._nobodys_hash = _random_hash(settings)

    def hash(self, password: str) -> str:
        """The hash to store; raises UnavailableError `overloaded` after 2 s without a turn."""
        return self._in_turn(lambda: self._hasher.hash(_canonical(password)))

    def check(self, password: str, stored: str | None) -> PasswordCheck:
        """Compares; `stored` None (no account, or none with a password) takes as long and never matches.

        Raises UnavailableError `overloaded` after 2 s without a turn.
        """
        return self._in_turn(lambda: self._check(password, stored))

    def _check(self, password: str, stored: str | None) -> PasswordCheck:
        secret = _canonical(password)
        try:
            self._hasher.verify(stored or self._nobodys_hash, secret)
        except (VerificationError, InvalidHashError):
            return PasswordCheck(matches=False)
        if stored is None:
            return PasswordCheck(matches=False)
        renewed = self._hasher.hash(secret) if self._hasher.check_needs_rehash(stored) else None
        return PasswordCheck(matches=True, new_hash=renewed)

    def _in_turn(self, function: Callable[[], T]) -> T:
        if not self._turns.acquire(timeout=self._wait_seconds_max):
            raise UnavailableError(
                "overloaded", "Too many people log in at this moment.", retry_after_seconds=2
            )
        try:
            return _off_the_loop(function)
        finally:
            self._turns.release()


def _off_the_loop(function: Callable[[], T]) -> T:
    """Runs `function` in a real thread where gevent has made threads cooperative, else here.

    argon2 is one long call into C: on gevent's loop it would stop every other request of the process.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("threading"):
        return function()
    from gevent import get_hub  # noqa: PLC0415 - only with gevent

    result: T = get_hub().threadpool.apply(function)
    return result


def _canonical(password: str) -> str:
    """One form for what keyboards send in several: `é` as one character or as two."""
    return unicodedata.normalize("NFC", password)


def _random_hash(settings: Settings) -> str:
    """A well-formed hash that no password has, made without hashing, with the parameters of real ones."""
    salt, digest = (
        base64.b64encode(os.urandom(size)).decode().rstrip("=") for size in (_SALT_BYTES, _HASH_BYTES)
    )
    parameters = f"m={settings.hash_memory_kib},t={settings.hash_time_cost},p={_PARALLELISM}"
    return f"$argon2id$v=19${parameters}${salt}${digest}"
