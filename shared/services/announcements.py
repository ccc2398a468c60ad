"""What a change of an event announces: to who comes, to the host's followers, to who waits for the sale."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from shared.db import transaction
from shared.domain.events import SCHEDULED
from shared.domain.notifications import EVENT_CHANGED, NEW_EVENT, SALES_OPEN, told_changes
from shared.models import Event
from shared.services import outbox
from shared.store.due import list_due_openings, list_expiring_offers, mark_announced

# One turn of the schedule; the rest waits for the next, a second later.
OPENINGS_MAX: Final = 100


def announce_new(session: Session, event: Event, *, now: datetime) -> None:
    """An event was created: its host's followers are told when it is published already. Its row is locked, or new."""
    if event.status == SCHEDULED:
        outbox.add(session, NEW_EVENT, event_id=event.id)
        if _is_open(event, now):  # nobody can have asked to be told of it
            event.sales_announced_at = now


def announce_change(session: Session, event: Event, changes: Mapping[str, Any], *, now: datetime) -> None:
    """An event was changed; `changes` says which fields. Its row is locked.

    A sale that is put off, or withdrawn with its event, is to be announced again; whoever was told of it before is not
    told twice.
    """
    if event.status != SCHEDULED or event.deleted_at is not None:
        event.sales_announced_at = None
        return
    if "status" in changes:
        outbox.add(session, NEW_EVENT, event_id=event.id)
    elif told := told_changes(changes):
        outbox.add(
            session, EVENT_CHANGED, event_id=event.id, payload={"version": event.version, "changes": told}
        )
    if not _is_open(event, now):
        event.sales_announced_at = None  # the schedule announces it in time
    elif event.sales_announced_at is None:
        event.sales_announced_at = now
        outbox.add(session, SALES_OPEN, event_id=event.id)


def announce_open_sales(engine: Engine) -> int:
    """Announces the sales that have opened by PostgreSQL's clock, each once; returns how many. For the schedule.

    A transaction each: the event's row is locked, which a batch may hold, and several would have to be locked in the
    order of their ids.
    """
    with transaction(engine) as session:
        due = list_due_openings(session, limit=OPENINGS_MAX)
    announced = 0
    for event_id in due:
        with transaction(engine) as session:
            if mark_announced(session, event_id):
                outbox.add(session, SALES_OPEN, event_id=event_id)
                announced += 1
    return announced


def warn_of_expiring_offers(session: Session, *, notice_seconds: int) -> int:
    """Has everybody told whose offer expires within `notice_seconds` and who was not told yet; returns how many
    offers. One message. An offer that never lasted longer is not worth a warning.
    """
    offers = list_expiring_offers(session, notice_seconds=notice_seconds, limit=outbox.SLICE)
    if offers:
        outbox.add(
            session, outbox.OFFERS_EXPIRING, payload={"offers": [str(offer_id) for offer_id in offers]}
        )
    return len(offers)


def _is_open(event: Event, now: datetime) -> bool:
    return not event.sales_paused and (event.sales_open_at is None or event.sales_open_at <= now)
