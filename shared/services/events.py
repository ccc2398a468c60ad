"""Creating, changing, calling off and hiding events: each with its ledger row and its audit row."""

import uuid
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from shared.clock import rfc3339
from shared.domain.events import (
    CANCELLED,
    DRAFT,
    FIELD_NAMES,
    Committed,
    EventFields,
    check_change,
    check_new,
    check_nobody_concerned,
    complete,
    is_completed,
    merge,
)
from shared.domain.permissions import (
    MANAGERS_ONLY,
    ActingAs,
    Actor,
    hosts_event,
    may_create_events,
    may_manage_event,
)
from shared.domain.requests import CALL_OFF, SERVE_WAITLIST
from shared.errors import GuichetError, NotFoundError, RefusedError
from shared.models import Event
from shared.services import control_requests
from shared.services.announcements import announce_change, announce_new
from shared.services.event_ledger import lock_event, lock_events_of_host, record_change
from shared.services.organizations import HeldOrganizations, check_place, hold_organizations
from shared.store.clock import read_clock
from shared.store.organizations import find_first_owner

_CODE_CONSTRAINT: Final = "events_code_key"


def create_event(session: Session, *, actor: Actor, values: Mapping[str, Any], request_id: str | None) -> int:
    """Creates an event hosted by `actor` and returns its id.

    Raises `forbidden`, `organization_not_found`, InvalidInputError, `event_code_taken`.
    """
    if not may_create_events(actor):
        raise GuichetError("forbidden")
    held = hold_organizations(session, actor, wanted_id=values.get("organization_id"))
    now = read_clock(session)
    wanted = complete(values)
    check_place(held, wanted.organization_id)
    check_new(wanted, now=now)
    event = Event(host_id=actor.user_id, created_at=now, updated_at=now, **_columns(wanted))
    session.add(event)
    _flush(session)
    changes = {name: _json(getattr(wanted, name)) for name in FIELD_NAMES}
    record_change(
        session, event, "event.create", changes, actor_id=actor.user_id, now=now, request_id=request_id
    )
    announce_new(session, event, now=now)
    session.flush()
    return event.id


def change_event(
    session: Session,
    *,
    actor: Actor,
    event_id: int,
    values: Mapping[str, Any],
    whole: bool,
    versions: Collection[int] | None,
    request_id: str | None,
) -> list[uuid.UUID]:
    """Changes the given fields, or with `whole` replaces them all (what is absent goes back to its default,
    but `status` and `organization_id` stay: leaving them out must not take an event off sale, or away from those
    who manage it).

    `versions` are those that the caller accepts to overwrite, None any. Returns the job ids to put into the
    line after the commit. Nothing changed means nothing written. Raises `event_not_found`, `forbidden`,
    `precondition_failed`, `organization_not_found` and what `check_change` raises.
    """
    held = hold_organizations(session, actor, wanted_id=values.get("organization_id"))
    event = _lock_managed(session, held, event_id, versions)
    now = read_clock(session)
    current = _fields(event)
    kept = {"status": current.status, "organization_id": current.organization_id}
    wanted = complete({**kept, **values}) if whole else merge(current, values)
    changes = _differences(current, wanted)
    if not changes:
        return []
    check_change(current, wanted, _committed(event), now=now)
    if "organization_id" in changes:
        check_place(held, wanted.organization_id)
    for name in changes:
        setattr(event, name, getattr(wanted, name))
    called_off = wanted.status == CANCELLED
    _touch(event, now)
    _flush(session)
    action = "event.call_off" if called_off else "event.change"
    record_change(session, event, action, changes, actor_id=actor.user_id, now=now, request_id=request_id)
    announce_change(session, event, changes, now=now)
    jobs = []
    if called_off:
        is_host = hosts_event(held.actor, host_id=event.host_id, organization_id=current.organization_id)
        acting_as: ActingAs = "host" if is_host else "admin"
        jobs.append(_request_call_off(session, event, actor.user_id, acting_as, request_id))
    elif any(event.waiting):
        # More tickets, a sale that goes on: whatever was changed, who waits is served before the next request.
        jobs.append(
            control_requests.add(session, kind=SERVE_WAITLIST, event_id=event.id, request_id=request_id)
        )
    session.flush()
    return jobs


def delete_event(
    session: Session, *, actor: Actor, event_id: int, versions: Collection[int] | None, request_id: str | None
) -> None:
    """Hides the event and frees its code. Raises as `change_event`, and `event_has_bookings`."""
    event = _lock_managed(session, hold_organizations(session, actor), event_id, versions)
    check_nobody_concerned(_committed(event))
    _hide(session, event, actor_id=actor.user_id, now=read_clock(session), request_id=request_id)
    session.flush()


def call_off_for_account(
    session: Session, user_id: int, now: datetime, request_id: str | None
) -> list[uuid.UUID]:
    """Calls off what a closed account hosts and is not over at `now`, and hides its drafts; but what belongs to an
    organization with an owner is handed over to the one who is it for the longest time, and goes on.

    Returns the job ids to put into the line after the commit. Locks the events in id order; takes no lock
    after. Memberships of the account have ended before.
    """
    jobs = []
    for event in lock_events_of_host(session, user_id):
        if event.status == CANCELLED or is_completed(event.status, event.ends_at, now):
            continue
        locked_at = read_clock(session)
        heir = None if event.organization_id is None else find_first_owner(session, event.organization_id)
        if heir is not None:
            _hand_over(session, event, heir, actor_id=user_id, now=locked_at, request_id=request_id)
            continue
        if event.status == DRAFT:
            _hide(session, event, actor_id=user_id, now=locked_at, request_id=request_id)
            continue
        changes = {"status": {"from": event.status, "to": CANCELLED}}
        event.status = CANCELLED
        _touch(event, locked_at)
        record_change(
            session, event, "event.call_off", changes, actor_id=user_id, now=locked_at, request_id=request_id
        )
        jobs.append(_request_call_off(session, event, user_id, "account", request_id))
    session.flush()
    return jobs


def _lock_managed(
    session: Session, held: HeldOrganizations, event_id: int, versions: Collection[int] | None
) -> Event:
    event = lock_event(session, event_id)
    manages = event is not None and may_manage_event(
        held.actor, host_id=event.host_id, organization_id=event.organization_id
    )
    if event is None or event.deleted_at is not None or (event.status == DRAFT and not manages):
        raise NotFoundError("event_not_found")
    if not manages:
        raise GuichetError("forbidden", MANAGERS_ONLY)
    if versions is not None and event.version not in versions:
        raise GuichetError("precondition_failed", version=event.version)
    return event


def _hand_over(
    session: Session, event: Event, heir: int, *, actor_id: int, now: datetime, request_id: str | None
) -> None:
    changes = {"host_id": {"from": event.host_id, "to": heir}}
    event.host_id = heir
    _touch(event, now)
    record_change(
        session, event, "event.hand_over", changes, actor_id=actor_id, now=now, request_id=request_id
    )


def _hide(session: Session, event: Event, *, actor_id: int, now: datetime, request_id: str | None) -> None:
    changes = {"deleted": {"from": False, "to": True}, "code": {"from": event.code, "to": None}}
    event.deleted_at, event.code = now, None
    _touch(event, now)
    record_change(session, event, "event.delete", changes, actor_id=actor_id, now=now, request_id=request_id)


def _touch(event: Event, now: datetime) -> None:
    event.version += 1
    event.updated_at = now
    event.archived = False  # a draft of the past may have a date to come now


def _request_call_off(
    session: Session, event: Event, user_id: int, acting_as: ActingAs, request_id: str | None
) -> uuid.UUID:
    return control_requests.add(
        session, kind=CALL_OFF, event_id=event.id, user_id=user_id, acting_as=acting_as, request_id=request_id
    )


def _committed(event: Event) -> Committed:
    return Committed(booked=event.booked, offered=event.offered, waiting=sum(event.waiting))


def _fields(event: Event) -> EventFields:
    return EventFields(**{name: getattr(event, name) for name in FIELD_NAMES})


def _columns(wanted: EventFields) -> dict[str, Any]:
    return {name: getattr(wanted, name) for name in FIELD_NAMES}


def _differences(current: EventFields, wanted: EventFields) -> dict[str, dict[str, Any]]:
    pairs = ((name, getattr(current, name), getattr(wanted, name)) for name in FIELD_NAMES)
    return {name: {"from": _json(old), "to": _json(new)} for name, old, new in pairs if old != new}


def _json(value: object) -> object:
    return rfc3339(value) if isinstance(value, datetime) else value


def _flush(session: Session) -> None:
    """Writes, and names the one conflict that a client can cause; the caller's transaction is lost then."""
    try:
        session.flush()
    except IntegrityError as error:
        if getattr(getattr(error.orig, "diag", None), "constraint_name", None) == _CODE_CONSTRAINT:
            raise RefusedError("event_code_taken") from error
        raise
