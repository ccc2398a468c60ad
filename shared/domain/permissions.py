"""Who may do what."""

from dataclasses import dataclass
from typing import Final, Literal

from shared.domain.organizations import OWNER, MemberRole

Role = Literal["attendee", "host", "admin"]
ActingAs = Literal["owner", "host", "admin", "account"]

MANAGERS_ONLY: Final = "Only its host, its organization's members and admins may do this."


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody signed in, with the role and the organizations that the database knows, read for this request
    (never the token's claim).
    """

    user_id: int
    role: Role
    family_id: str = ""
    organization_ids: frozenset[int] = frozenset()

    @property
    def is_admin(self) -> bool:
        """May do everything that anybody may, audited."""
        return self.role == "admin"


def may_create_events(actor: Actor) -> bool:
    """Hosts and admins."""
    return actor.role in ("host", "admin")


def may_place_events(actor: Actor, organization_id: int) -> bool:
    """The organization's members and admins: let an event belong to it."""
    return actor.is_admin or organization_id in actor.organization_ids


def may_see_members(actor: Actor, organization_id: int) -> bool:
    """Who belongs to an organization is shown to those who do, and to admins."""
    return actor.is_admin or organization_id in actor.organization_ids


def may_run_organization(actor: Actor, membership: MemberRole | None) -> bool:
    """Its owners and admins: change it, delete it, say who belongs to it."""
    return actor.is_admin or membership == OWNER


def hosts_event(actor: Actor, *, host_id: int, organization_id: int | None) -> bool:
    """Its host and the members of its organization (None: it belongs to none) are the same to an event."""
    return actor.user_id == host_id or organization_id in actor.organization_ids


def may_manage_event(actor: Actor, *, host_id: int, organization_id: int | None) -> bool:
    """Whoever hosts it and admins: change, delete, call off, see drafts and attendees."""
    return actor.is_admin or hosts_event(actor, host_id=host_id, organization_id=organization_id)


def acting_as_for_booking(
    actor: Actor, *, owner_id: int, host_id: int, organization_id: int | None
) -> ActingAs | None:
    """The right under which `actor` may see and cancel a booking; None when the booking is none of theirs.

    An owner who also hosts the event or is an admin acts with the stronger right: no cancellation deadline.
    """
    if actor.is_admin:
        return "admin"
    if hosts_event(actor, host_id=host_id, organization_id=organization_id):
        return "host"
    return "owner" if actor.user_id == owner_id else None
