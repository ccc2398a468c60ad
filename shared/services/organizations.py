"""Organizations: making, changing and hiding them; and holding them while an event is put into one."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from shared.domain.organizations import MEMBERSHIPS_MAX, OWNER
from shared.domain.permissions import Actor, may_create_events, may_place_events, may_run_organization
from shared.errors import GuichetError, NotFoundError, RefusedError
from shared.ids import BIGINT_MAX
from shared.models import Event, Organization, OrganizationMember
from shared.services import audit_log
from shared.services.token_families import lock_user
from shared.store.clock import read_clock
from shared.store.organizations import count_memberships, find_membership

FIELD_NAMES: Final = ("name", "logo_url", "website_url", "background_url")


@dataclass(frozen=True, slots=True)
class HeldOrganizations:
    """Organizations that stay as they are until the transaction ends, and the actor with those memberships only
    that stay too.
    """

    actor: Actor
    ids: frozenset[int]


def create_organization(
    session: Session, *, actor: Actor, values: Mapping[str, Any], request_id: str | None
) -> int:
    """Makes an organization that `actor` owns and returns its id.

    Raises `forbidden`, `unauthenticated` (the account was closed meanwhile), `too_many_organizations`.
    """
    if not may_create_events(actor):
        raise GuichetError("forbidden")
    if lock_user(session, actor.user_id) is None:
        raise GuichetError("unauthenticated")
    check_room(session, actor.user_id)
    organization = Organization(**{name: values.get(name) for name in FIELD_NAMES})
    session.add(organization)
    session.flush()
    session.add(OrganizationMember(organization_id=organization.id, user_id=actor.user_id, role=OWNER))
    changes = {name: getattr(organization, name) for name in FIELD_NAMES}
    record(session, organization.id, "create", changes, actor_id=actor.user_id, request_id=request_id)
    session.flush()
    return organization.id


def change_organization(
    session: Session,
    *,
    actor: Actor,
    organization_id: int,
    values: Mapping[str, Any],
    whole: bool,
    request_id: str | None,
) -> None:
    """Changes the given fields, or with `whole` replaces them all. Nothing changed means nothing written.

    Raises `organization_not_found`, `forbidden`.
    """
    organization = lock_run(session, actor, organization_id)
    wanted = {name: values.get(name) for name in FIELD_NAMES} if whole else values
    changes = {
        name: {"from": getattr(organization, name), "to": value}
        for name, value in wanted.items()
        if value != getattr(organization, name)
    }
    if not changes:
        return
    for name in changes:
        setattr(organization, name, wanted[name])
    organization.updated_at = read_clock(session)
    record(session, organization_id, "change", changes, actor_id=actor.user_id, request_id=request_id)
    session.flush()


def delete_organization(
    session: Session, *, actor: Actor, organization_id: int, request_id: str | None
) -> None:
    """Hides the organization and ends its memberships. Raises as `change_organization`, and
    `organization_has_events` while it has any that is not hidden.

    Who puts an event into it holds it: either that is over and the event is seen here, or it finds nothing.
    """
    organization = lock_run(session, actor, organization_id)
    events = session.scalar(
        select(func.count())
        .select_from(Event)
        .where(Event.organization_id == organization_id, Event.deleted_at.is_(None))
    )
    if events:
        raise RefusedError("organization_has_events", events=events)
    organization.deleted_at = organization.updated_at = read_clock(session)
    session.execute(delete(OrganizationMember).where(OrganizationMember.organization_id == organization_id))
    changes = {"deleted": {"from": False, "to": True}}
    record(session, organization_id, "delete", changes, actor_id=actor.user_id, request_id=request_id)
    session.flush()


def lock_run(session: Session, actor: Actor, organization_id: int) -> Organization:
    """The organization, locked as by `lock_organization`, for who runs it. Two round trips.

    Raises `organization_not_found`, `forbidden`.
    """
    organization = lock_organization(session, organization_id)
    # A statement of its own, after the lock: only then is it the role of now.
    role = find_membership(session, organization_id=organization_id, user_id=actor.user_id)
    if not may_run_organization(actor, role):
        raise GuichetError("forbidden", "Only its owners and admins may do this.")
    return organization


def lock_organization(session: Session, organization_id: int) -> Organization:
    """The organization, locked against everybody who changes it or its members, or puts an event into it; not
    against rows that refer to it. Raises `organization_not_found`. One round trip.
    """
    if organization_id > BIGINT_MAX:
        raise NotFoundError("organization_not_found")
    organization = session.scalar(
        select(Organization)
        .where(Organization.id == organization_id, Organization.deleted_at.is_(None))
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    if organization is None:
        raise NotFoundError("organization_not_found")
    return organization


def hold_organizations(session: Session, actor: Actor, *, wanted_id: int | None = None) -> HeldOrganizations:
    """Keeps the actor's organizations, and the one that an event shall belong to, from changing: nobody is removed
    from them and none is deleted before this transaction ends, and what ended before counts no more.

    To be called before an event is locked. No round trip for who belongs to none, else two; waits for who changes
    one of them.
    """
    asked = actor.organization_ids | ({wanted_id} if wanted_id is not None else set())
    if not asked:
        return HeldOrganizations(actor, frozenset())
    locked = (
        select(Organization.id)
        .where(Organization.id.in_(asked), Organization.deleted_at.is_(None))
        .order_by(Organization.id)
        .with_for_update(read=True)
    )
    ids = frozenset(session.scalars(locked))
    # A statement of its own: one that waits for a lock sees other tables as they were before it waited.
    memberships = select(OrganizationMember.organization_id).where(
        OrganizationMember.user_id == actor.user_id, OrganizationMember.organization_id.in_(ids)
    )
    return HeldOrganizations(replace(actor, organization_ids=frozenset(session.scalars(memberships))), ids)


def check_place(held: HeldOrganizations, organization_id: int | None) -> None:
    """Raises unless the actor may let an event belong to this organization: `organization_not_found`, `forbidden`."""
    if organization_id is None:
        return
    if organization_id not in held.ids:
        raise NotFoundError("organization_not_found")
    if not may_place_events(held.actor, organization_id):
        raise GuichetError("forbidden", "Only its members and admins may put events into an organization.")


def check_room(session: Session, user_id: int) -> None:
    """Raises `too_many_organizations` unless the user, whose row is locked, may belong to one more."""
    if count_memberships(session, user_id) >= MEMBERSHIPS_MAX:
        raise RefusedError("too_many_organizations", organizations_max=MEMBERSHIPS_MAX)


def record(
    session: Session,
    organization_id: int,
    verb: str,
    changes: Mapping[str, Any],
    *,
    actor_id: int,
    request_id: str | None,
) -> None:
    """Writes what was done to the organization into the audit log."""
    audit_log.record(
        session,
        actor_id=actor_id,
        action=f"organization.{verb}",
        target_type="organization",
        target_id=organization_id,
        changes=changes,
        request_id=request_id,
    )
