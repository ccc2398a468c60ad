"""Organizations: who stands behind events."""

from dataclasses import dataclass, replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from shared.domain.permissions import Actor, may_place_events
from shared.errors import GuichetError, NotFoundError
from shared.models import Organization, OrganizationMember


@dataclass(frozen=True, slots=True)
class HeldOrganizations:
    """Organizations that stay as they are until the transaction ends, and the actor with those memberships only
    that stay too.
    """

    actor: Actor
    ids: frozenset[int]


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
