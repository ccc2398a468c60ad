"""Who may do what."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["attendee", "host", "admin"]
ActingAs = Literal["owner", "host", "admin", "account"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody signed in, with the role that the database knows (never the token's claim)."""

    user_id: int
    role: Role
    family_id: str = ""

    @property
    def is_admin(self) -> bool:
        """May do everything that anybody may, audited."""
        return self.role == "admin"


def may_create_events(actor: Actor) -> bool:
    """Hosts and admins."""
    return actor.role in ("host", "admin")


def may_manage_event(actor: Actor, host_id: int) -> bool:
    """Its host and admins: change, delete, call off, see drafts and attendees."""
    return actor.is_admin or actor.user_id == host_id


def acting_as_for_booking(actor: Actor, *, owner_id: int, host_id: int) -> ActingAs | None:
    """The right under which `actor` may see and cancel a booking; None when the booking is none of theirs.

    An owner who is also host or admin acts with the stronger right: no cancellation deadline.
    """
    if actor.is_admin:
        return "admin"
    if actor.user_id == host_id:
        return "host"
    return "owner" if actor.user_id == owner_id else None
