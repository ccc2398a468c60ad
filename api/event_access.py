"""Which events the caller of this request may see and manage."""

from api.auth import optional_actor
from shared.db import Session
from shared.domain.events import DRAFT
from shared.domain.permissions import MANAGERS_ONLY, Actor, may_manage_event
from shared.errors import GuichetError, NotFoundError
from shared.store.events import EventRow, find_event


def get_readable_event(session: Session, event_id: int) -> EventRow:
    """The event, if it is published or a draft that the caller manages; raises `event_not_found`.

    Asks who is calling only for what is not public: one round trip for everything else. Where there is nothing it asks
    too: otherwise a bad token, which is refused here, would tell a draft from an event that nobody has.
    """
    event = find_event(session, event_id)
    if event is None or event.status == DRAFT:
        actor = optional_actor(session)
        if event is None or actor is None or not _manages(actor, event):
            raise NotFoundError("event_not_found")
    return event


def get_managed_event(session: Session, actor: Actor, event_id: int) -> EventRow:
    """The event, if `actor` manages it; raises `event_not_found`, or `forbidden` when it is public."""
    event = find_event(session, event_id)
    manages = event is not None and _manages(actor, event)
    if event is None or (event.status == DRAFT and not manages):
        raise NotFoundError("event_not_found")
    if not manages:
        raise GuichetError("forbidden", MANAGERS_ONLY)
    return event


def _manages(actor: Actor, event: EventRow) -> bool:
    return may_manage_event(actor, host_id=event.host_id, organization_id=event.organization_id)
