"""What the demo's people ask of the line: bookings, places on waitlists, a cancellation. Workers decide it as ever."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

from sqlalchemy import Engine

from scripts.demo import DemoEvent
from shared.domain.allocation import booking_id_of
from shared.domain.requests import BOOK, CANCEL, JOIN_WAITLIST
from shared.ids import uuid7
from shared.line.accept import NewRequest
from shared.line.client import make_redis
from shared.services.line import LineClient
from shared.services.line_gate import LineGate
from shared.settings import Settings


def put_into_line(
    settings: Settings, engine: Engine, events: Mapping[int, DemoEvent], attendees: Sequence[int]
) -> None:
    """Puts all of it into the line, in its order; `attendees` are user ids. Asked again, it is refused where it was
    done before. Raises UnavailableError.
    """
    with closing(make_redis(settings.redis_url)) as redis:
        line = LineClient(settings, redis, LineGate(settings, engine, redis))
        for event_id, event in events.items():
            for request in _requests(event_id, event, attendees):
                line.accept(request)


def count_requests(event: DemoEvent) -> int:
    """How many requests an event of the demo sees."""
    return len(event.tickets) + len(event.waiting) + event.gives_back


def _requests(event_id: int, event: DemoEvent, attendees: Sequence[int]) -> Iterator[NewRequest]:
    first: uuid.UUID | None = None
    for user_id, tickets in zip(attendees, event.tickets, strict=False):
        job_id = uuid7()
        first = first or job_id
        yield NewRequest(job_id=job_id, kind=BOOK, event_id=event_id, user_id=user_id, tickets=tickets)
    for number, tickets in event.waiting.items():
        yield NewRequest(
            job_id=uuid7(),
            kind=JOIN_WAITLIST,
            event_id=event_id,
            user_id=attendees[number],
            tickets=tickets,
        )
    if event.gives_back and first is not None:
        yield NewRequest(
            job_id=uuid7(),
            kind=CANCEL,
            event_id=event_id,
            user_id=attendees[0],
            booking_id=booking_id_of(first),
        )
