"""Which events the caller of this request may see and manage."""

from api.auth import optional_actor
from shared.db import Session
from shared.domain.events import DRAFT
from shared.domain.permissions import Actor, may_manage_event
from shared.errors import GuichetError, NotFoundError
from shared.store.events import EventRow, find_event


def get_readable_event(session: Session, event_id: int) -> EventRow:
    """The event, if it is published or a draft that the caller manages; raises `event_not_found`.

    Asks who is calling for drafts only: one round trip for everything public.
    """
    event = find_event(session, event_id)
    if event is not None and event.status == DRAFT:
        actor = optional_actor(session)
        if actor is None or not may_manage_event(actor, event.host_id):
            event = None
    if event is None:
        raise NotFoundError("event_not_found")
    return event


def get_managed_event(session: Session, actor: Actor, event_id: int) -> EventRow:
    """The event, if `actor` manages it; raises `event_not_found`, or `forbidden` when it is public."""
    event = find_event(session, event_id)
    manages = event is not None and may_manage_event(actor, event.host_id)
    if event is None or (event.status == DRAFT and not manages):
        raise NotFoundError("event_not_found")
    if not manages:
        raise GuichetError("forbidden", "Only its host and admins may do this.")
    return event
