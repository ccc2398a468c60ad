"""Accounts: registering, logging in and out, changing the password, closing the account."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import Session

from shared.domain.accounts import ANONYMISED_NAME, anonymised_email, find_password_fault
from shared.domain.permissions import Actor
from shared.domain.requests import CANCEL, LEAVE_WAITLIST
from shared.errors import InvalidInputError
from shared.models import (
    Booking,
    ControlRequest,
    Event,
    OrganizationMember,
    RevokedToken,
    User,
    WaitlistEntry,
)
from shared.services import (
    audit_log,
    control_requests,
    credentials,
    organization_members,
    token_families,
    users,
)
from shared.services.credentials import Attempt
from shared.services.events import call_off_for_account
from shared.services.passwords import PasswordCheck
from shared.services.token_families import Revocations, SignedIn
from shared.settings import Settings
from shared.store.clock import read_clock
from shared.store.closed_accounts import forget

# What was under way when an account was closed is over a minute later; a schedule that stood still for a weekend finds
# it, too.
_LEFTOVERS_APPEAR: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class ClosedAccount:
    """What is left to do after the commit: tell Redis what is revoked, put these requests into the line."""

    user_id: int
    revocations: Revocations
    job_ids: list[uuid.UUID]


def check_new_password(password: str, *, email: str, pointer: str) -> None:
    """Raises InvalidInputError at `pointer` when the rules do not accept `password`."""
    if fault := find_password_fault(password, email):
        raise InvalidInputError([{"pointer": pointer, "detail": fault}])


def register(
    session: Session, *, name: str, email: str, password_hash: str, role: str, settings: Settings
) -> SignedIn:
    """A new account, signed in. Raises RefusedError `email_taken`."""
    user = users.create_user(session, name=name, email=email, password_hash=password_hash, role=role)
    return token_families.start(session, user, settings=settings)


def log_in(
    session: Session, attempt: Attempt, check: PasswordCheck, *, settings: Settings
) -> SignedIn | None:
    """A new log-in; None when the password was wrong, which is recorded and must be committed.

    Raises RefusedError `login_throttled`.
    """
    user = credentials.settle(session, attempt, check, settings=settings)
    return None if user is None else token_families.start(session, user, settings=settings)


def log_out(session: Session, actor: Actor, *, settings: Settings) -> Revocations:
    """Ends the log-in that the actor's token belongs to."""
    token_families.lock_user(session, actor.user_id)
    return token_families.revoke_families(session, [uuid.UUID(actor.family_id)], settings=settings)


def change_password(
    session: Session,
    actor: Actor,
    attempt: Attempt,
    check: PasswordCheck,
    *,
    new_hash: str,
    settings: Settings,
) -> Revocations | None:
    """Stores the hash and ends every other log-in; None as in `log_in` when the password was wrong."""
    user = credentials.settle(session, attempt, check, settings=settings)
    if user is None:
        return None
    user.password_hash = new_hash
    user.updated_at = read_clock(session)
    keep = uuid.UUID(actor.family_id)
    return token_families.revoke_other_families(session, user.id, keep=keep, settings=settings)


def find_actor(session: Session, *, user_id: int, family_id: str, subjects: Iterable[str]) -> Actor | None:
    """Who acts, in the role and the organizations of now; None when the account is closed or a subject revoked.
    One round trip.
    """
    rows = session.execute(
        select(User.role, OrganizationMember.organization_id)
        .outerjoin(OrganizationMember, OrganizationMember.user_id == User.id)
        .where(
            User.id == user_id,
            User.deleted_at.is_(None),
            ~exists().where(RevokedToken.subject.in_(list(subjects))),
        )
    ).all()
    if not rows:
        return None
    memberships = frozenset(row.organization_id for row in rows) - {None}
    return Actor(user_id, rows[0].role, family_id, memberships)


def close_account(
    session: Session, user: User, *, actor_id: int, settings: Settings, request_id: str | None
) -> ClosedAccount:
    """Closes the account of `user`, whose row is locked: no token counts any more, the row is anonymised.

    Its memberships end; its live bookings are cancelled and its events called off through the line, or handed over
    within their organization; its interests, follows and notifications are deleted; the ledger stays as it is. Raises
    RefusedError `last_admin`.
    """
    users.keep_an_admin(session, user)
    revocations = token_families.revoke_user(session, user.id, settings=settings)
    user.name, user.email, user.password_hash = ANONYMISED_NAME, anonymised_email(user.id), None
    user.deleted_at = user.updated_at = read_clock(session)
    audit_log.record(
        session,
        actor_id=actor_id,
        action="user.delete",
        target_type="user",
        target_id=user.id,
        request_id=request_id,
    )
    session.flush()
    organization_members.end_memberships(session, user.id, actor_id=actor_id, request_id=request_id)
    forget(session, user.id)
    return ClosedAccount(user.id, revocations, release_holdings(session, user.id, request_id=request_id))


def release_holdings(session: Session, user_id: int, *, request_id: str | None) -> list[uuid.UUID]:
    """Requests that free what a closed account still holds: bookings to come, its places in waitlists with the offers
    made to it, and events that it hosts.

    Returns their job ids, to be put into the line after the commit. Safe to repeat.
    """
    bookings = session.execute(
        select(Booking.id, Booking.event_id)
        .join(Event, Event.id == Booking.event_id)
        .where(Booking.user_id == user_id, _is_left_over())
        .order_by(Booking.id)
    )
    entries = session.scalars(
        select(WaitlistEntry.event_id)
        .join(Event, Event.id == WaitlistEntry.event_id)
        .where(WaitlistEntry.user_id == user_id, _still_waits())
        .order_by(WaitlistEntry.id)
    )
    add = partial(control_requests.add, session, user_id=user_id, acting_as="account", request_id=request_id)
    job_ids = [
        *(add(kind=CANCEL, event_id=event_id, booking_id=booking_id) for booking_id, event_id in bookings),
        *(add(kind=LEAVE_WAITLIST, event_id=event_id) for event_id in entries),
    ]
    return job_ids + call_off_for_account(session, user_id, read_clock(session), request_id)


def list_leftovers(session: Session, *, limit: int = 100) -> list[int]:
    """Ids of closed accounts that hold something all the same: for the schedule, to `release_holdings` each.

    A batch under decision, or an event under creation, while the account was being closed leaves such things. Three
    look-ups an account that was closed in the last days.
    """
    holds = select(Booking.id).where(
        Booking.user_id == User.id, Booking.event_id == Event.id, _is_left_over()
    )
    waits = select(WaitlistEntry.id).where(
        WaitlistEntry.user_id == User.id, WaitlistEntry.event_id == Event.id, _still_waits()
    )
    hosts = select(Event.id).where(
        Event.host_id == User.id,
        Event.deleted_at.is_(None),
        or_(Event.status == "draft", and_(Event.status == "scheduled", Event.ends_at > func.now())),
    )
    # `offset 0`: looked up for each account, never read through for all of them
    anything = or_(*(exists(one.correlate(User).offset(0)) for one in (holds, waits, hosts)))
    closed = (
        select(User.id).where(User.deleted_at > func.now() - _LEFTOVERS_APPEAR, anything).order_by(User.id)
    )
    return list(session.scalars(closed.limit(limit)))


def _is_left_over() -> ColumnElement[bool]:
    """A live booking of an event that has not started, for which no request to cancel was made yet."""
    is_asked_for = exists().where(ControlRequest.booking_id == Booking.id, ControlRequest.kind == CANCEL)
    return and_(Booking.status == "confirmed", Event.starts_at > func.now(), ~is_asked_for)


def _still_waits() -> ColumnElement[bool]:
    """A live entry in the waitlist of an event that is not over, which nobody has asked to leave since it was made."""
    is_asked_for = exists().where(
        ControlRequest.kind == LEAVE_WAITLIST,
        ControlRequest.event_id == WaitlistEntry.event_id,
        ControlRequest.user_id == WaitlistEntry.user_id,
        ControlRequest.created_at >= WaitlistEntry.created_at,
    )
    return and_(WaitlistEntry.status.in_(("waiting", "offered")), Event.ends_at > func.now(), ~is_asked_for)
