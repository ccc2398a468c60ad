"""Checking a password: throttled per account and address, in three steps around a hash that takes its time.

`begin_*` in one transaction, `Passwords.check` outside any (a connection held while hashing would be missing
elsewhere), `settle` in a second one. `settle` looks at the throttle again under a lock: of a hundred guesses
sent at once, no more learn their result than of a hundred sent one after the other.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from shared.domain.accounts import ADDRESS_FACTOR, login_wait_seconds, throttle_key
from shared.errors import GuichetError, RefusedError
from shared.metrics.families import LOG_INS
from shared.models import LoginFailure, User
from shared.services.passwords import PasswordCheck
from shared.services.token_families import lock_user
from shared.settings import Settings
from shared.store.clock import read_clock

# The two-number advisory locks are a space of their own, apart from the worker's claims.
_LOCK_CLASS: Final = 7001


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to prove who one is: as whom, from which address, against which hash (None: nobody has it)."""

    email: str
    address: str
    user_id: int | None
    password_hash: str | None


def begin_log_in(session: Session, *, email: str, address: str, settings: Settings) -> Attempt:
    """An attempt by e-mail address, known or not. Raises RefusedError `login_throttled`.

    Failures count for the account's own spelling of its address: the database knows more of them than `throttle_key`.
    """
    row = session.execute(
        select(User.id, User.email, User.password_hash).where(
            func.lower(User.email) == func.lower(email), User.deleted_at.is_(None)
        )
    ).first()
    user_id, email, password_hash = (row.id, row.email, row.password_hash) if row else (None, email, None)
    _refuse_throttled(session, email=email, address=address, settings=settings)
    return Attempt(email, address, user_id, password_hash)


def begin_confirmation(session: Session, *, user_id: int, address: str, settings: Settings) -> Attempt:
    """An attempt by somebody signed in who must show the password once more; counts like a log-in.

    Raises RefusedError `login_throttled`, GuichetError `unauthenticated` when the account was just closed.
    """
    row = session.execute(
        select(User.email, User.password_hash).where(User.id == user_id, User.deleted_at.is_(None))
    ).one_or_none()
    if row is None:  # closed since its token was checked
        raise GuichetError("unauthenticated")
    _refuse_throttled(session, email=row.email, address=address, settings=settings)
    return Attempt(row.email, address, user_id, row.password_hash)


def settle(session: Session, attempt: Attempt, check: PasswordCheck, *, settings: Settings) -> User | None:
    """The user, locked, when the password was right; else None, with the failure recorded: commit it.

    Success forgives this account's failures from this address and no other's, and stores a renewed hash.
    Raises RefusedError `login_throttled`.
    """
    account = throttle_key(attempt.email)
    session.execute(select(func.pg_advisory_xact_lock(_LOCK_CLASS, func.hashtext(account + attempt.address))))
    _refuse_throttled(session, email=attempt.email, address=attempt.address, settings=settings)
    user = lock_user(session, attempt.user_id) if check.matches and attempt.user_id is not None else None
    if user is None or user.password_hash != attempt.password_hash:  # changed meanwhile: the check is void
        session.add(LoginFailure(account=account, address=attempt.address, failed_at=read_clock(session)))
        LOG_INS.add(("failed",))
        return None
    session.execute(
        delete(LoginFailure).where(LoginFailure.address == attempt.address, LoginFailure.account == account)
    )
    user.password_hash = check.new_hash or user.password_hash
    LOG_INS.add(("succeeded",))
    return user


def _refuse_throttled(session: Session, *, email: str, address: str, settings: Settings) -> None:
    """Cheap however long the attack: a throttled attempt is not recorded, so an address has few rows."""
    now = read_clock(session)
    window_seconds = settings.login_window_seconds
    is_account = LoginFailure.account == throttle_key(email)
    row = session.execute(
        select(
            func.count().filter(is_account).label("account_count"),
            func.max(LoginFailure.failed_at).filter(is_account).label("account_last"),
            func.count().label("address_count"),
            func.max(LoginFailure.failed_at).label("address_last"),
        ).where(
            LoginFailure.address == address, LoginFailure.failed_at > now - timedelta(seconds=window_seconds)
        )
    ).one()
    waits = [
        login_wait_seconds(
            failures=failures,
            failures_max=failures_max,
            seconds_since_last=(now - last).total_seconds() if last else 0.0,
            window_seconds=window_seconds,
        )
        for failures, failures_max, last in (
            (row.account_count, settings.login_failures_max, row.account_last),
            (row.address_count, settings.login_failures_max * ADDRESS_FACTOR, row.address_last),
        )
    ]
    if wait_seconds := max(waits):
        LOG_INS.add(("throttled",))
        raise RefusedError("login_throttled", "Too many failed log-ins.", retry_after_seconds=wait_seconds)
