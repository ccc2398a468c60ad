"""Users: making, reading and changing them; admins are made here only, never over HTTP."""

from typing import Any, Final

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from shared.domain.permissions import Actor
from shared.errors import GuichetError, NotFoundError, RefusedError
from shared.models import User
from shared.services import audit_log
from shared.services.token_families import lock_user
from shared.store.clock import read_clock
from shared.store.users import has_other_admin

# The two-number advisory locks: 7001 is that of log-ins.
_ADMINS_LOCK: Final = (7002, 0)

# What a profile has that may be changed, and who may: the role only an admin.
_OWN_FIELDS = frozenset({"name", "email"})


def create_user(session: Session, *, name: str, email: str, password_hash: str | None, role: str) -> User:
    """A new account. Raises RefusedError `email_taken`, also when two register at once. One round trip."""
    user: User | None = session.scalar(
        insert(User)
        .values(name=name, email=email, password_hash=password_hash, role=role)
        .on_conflict_do_nothing(
            index_elements=[func.lower(User.email)], index_where=text("deleted_at is null")
        )
        .returning(User)
    )
    if user is None:
        raise RefusedError("email_taken")
    return user


def get_user(session: Session, user_id: int, *, actor: Actor) -> User:
    """The account, for itself and for admins; for everybody else NotFoundError `user_not_found`."""
    _refuse_strangers(actor, user_id)
    user = session.scalar(select(User).where(User.id == user_id, User.deleted_at.is_(None)))
    if user is None:
        raise NotFoundError("user_not_found")
    return user


def get_user_locked(session: Session, user_id: int, *, actor: Actor) -> User:
    """Like `get_user`, with the row locked until the transaction ends."""
    _refuse_strangers(actor, user_id)
    user = lock_user(session, user_id)
    if user is None:
        raise NotFoundError("user_not_found")
    return user


def keep_open(session: Session, user_id: int) -> None:
    """Keeps the caller's account from being closed until the transaction ends: what is written for it now is seen by
    whoever closes it. Raises GuichetError `unauthenticated` when it was closed a moment ago. One round trip.
    """
    locked = select(User.id).where(User.id == user_id, User.deleted_at.is_(None)).with_for_update(read=True)
    if session.scalar(locked) is None:
        raise GuichetError("unauthenticated")


def update_user(
    session: Session,
    user_id: int,
    changes: dict[str, Any],
    *,
    actor: Actor,
    request_id: str | None,
) -> User:
    """Changes name, e-mail address and, for admins, role; a change by an admin goes into the audit log.

    Raises NotFoundError `user_not_found`, GuichetError `forbidden`, RefusedError `email_taken`, `last_admin`.
    """
    user = get_user_locked(session, user_id, actor=actor)
    if not actor.is_admin and not changes.keys() <= _OWN_FIELDS:
        raise GuichetError("forbidden", "Only an admin may change a role.")
    if changes.get("role", "admin") != "admin":
        keep_an_admin(session, user)
    before = {name: getattr(user, name) for name in changes}
    user.updated_at = read_clock(session)
    for name, value in changes.items():
        setattr(user, name, value)
    try:
        session.flush()
    except IntegrityError as error:
        raise RefusedError("email_taken") from error
    if actor.is_admin:
        _record(session, user, before, actor_id=actor.user_id, action="user.update", request_id=request_id)
    return user


def keep_an_admin(session: Session, user: User) -> None:
    """Before `user`, whose row is locked, stops being an admin: raises RefusedError `last_admin` if nobody else is one.

    Admins stop one at a time: of two who demote each other at once, the second finds itself the last. No
    user's row is locked after this. Two round trips, none for who is no admin.
    """
    if user.role != "admin":
        return
    session.execute(select(func.pg_advisory_xact_lock(*_ADMINS_LOCK)))
    if not has_other_admin(session, user.id):
        raise RefusedError("last_admin")


def make_admin(
    session: Session, *, name: str, email: str, password_hash: str | None, by: str | None = None
) -> tuple[User, bool]:
    """The admin with this address and whether the account is new; an account that exists is promoted.

    An existing account keeps its name, and its password where `password_hash` is None. `by` is who typed the command.
    """
    user = session.scalar(
        select(User)
        .where(func.lower(User.email) == func.lower(email), User.deleted_at.is_(None))
        .with_for_update(key_share=True)
    )
    is_new = user is None
    if user is None:
        user = create_user(session, name=name, email=email, password_hash=password_hash, role="admin")
    before = {"role": None if is_new else user.role}
    user.role = "admin"
    user.password_hash = password_hash or user.password_hash
    session.flush()
    _record(session, user, before, actor_id=None, action="user.make_admin", request_id=None, by=by)
    return user, is_new


def _refuse_strangers(actor: Actor, user_id: int) -> None:
    if not actor.is_admin and actor.user_id != user_id:
        raise NotFoundError("user_not_found")


def _record(
    session: Session,
    user: User,
    before: dict[str, Any],
    *,
    actor_id: int | None,
    action: str,
    request_id: str | None,
    by: str | None = None,
) -> None:
    """The values themselves only for the role: the log is kept for ever, names and addresses are not."""
    changes = {
        name: {"from": old, "to": getattr(user, name)} if name == "role" else "changed"
        for name, old in before.items()
        if old != getattr(user, name)
    }
    audit_log.record(
        session,
        actor_id=actor_id,
        action=action,
        target_type="user",
        target_id=user.id,
        changes=changes,
        request_id=request_id,
        by=by,
    )
