"""Offers by the clock: their end when nobody accepts them, that none is left out when time alone allows it, and the end
of waiting when the event starts.

All are requests of the control plane: the worker decides them at their place in the line, like everything that moves
tickets.
"""

import uuid
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql import insert

from shared.clock import from_micros
from shared.db import transaction
from shared.domain.requests import END_WAITLIST, EXPIRE_OFFER, SERVE_WAITLIST, RequestKind
from shared.ids import uuid7
from shared.models import ControlRequest
from shared.services import control_requests
from shared.services.line import LineClient
from shared.store.offers import list_due_offers, list_events_to_serve, list_events_waited_for_in_vain

# One turn of the schedule; what is left waits for the next, a second later.
BATCH: Final = 500


def expire_offers(engine: Engine, line: LineClient) -> int:
    """Asks for the end of every offer whose time is over; returns how many. Safe to run twice, and at once: an offer
    has one such request under way.

    Its time is over on Redis' clock, by which the request will be judged as the accept before it was. Four round
    trips, and one for each offer. Raises what the two clients raise.
    """
    seconds, micros = line.runner.redis.time()
    now = from_micros(int(seconds) * 1_000_000 + int(micros))
    with transaction(engine) as session:
        due = list_due_offers(session, at=now, limit=BATCH)
        rows = [
            {
                "job_id": uuid7(),
                "kind": EXPIRE_OFFER,
                "event_id": offer.event_id,
                "user_id": offer.user_id,
                "offer_id": offer.id,
                "acting_as": "owner",
            }
            for offer in due
        ]
        if not rows:
            return 0
        made = session.scalars(
            insert(ControlRequest).on_conflict_do_nothing().returning(ControlRequest.job_id), rows
        )
        job_ids: list[uuid.UUID] = list(made)
    control_requests.put_into_line(engine, line, job_ids)
    return len(job_ids)


def serve_waitlists(engine: Engine, line: LineClient) -> int:
    """Asks for offers where free tickets fit somebody who waits; returns for how many events.

    Whatever frees tickets has them offered in its own transaction, and whoever changes an event asks for it. What is
    left is time: a sale that opens with people waiting. Safe to run twice. Raises what the database raises.
    """
    return _ask(engine, line, SERVE_WAITLIST, list_events_to_serve)


def end_waitlists(engine: Engine, line: LineClient) -> int:
    """Asks for the end of the waitlists of events that have started; returns of how many. As `serve_waitlists`."""
    return _ask(engine, line, END_WAITLIST, list_events_waited_for_in_vain)


def _ask(
    engine: Engine, line: LineClient, kind: RequestKind, find_events: Callable[..., Sequence[int]]
) -> int:
    with transaction(engine) as session:
        job_ids = [
            control_requests.add(session, kind=kind, event_id=event_id)
            for event_id in find_events(session, limit=BATCH)
        ]
    control_requests.put_into_line(engine, line, job_ids)
    return len(job_ids)
