"""How much of a waitlist a batch reads: never the list, only the oldest of each size whom it could come to serve."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from shared.domain import waitlist
from shared.domain.availability import SIZE_MAX
from shared.domain.requests import (
    BOOK,
    CANCEL,
    DECLINE_OFFER,
    EXPIRE_OFFER,
    LEAVE_WAITLIST,
    Request,
)
from shared.domain.snapshot import Snapshot
from shared.domain.waitlist import WAITING

# Requests that give tickets back, or take whom they concern out of a queue. Any of them makes way for at most SIZE_MAX
# tickets' worth of others.
_MAKES_WAY: Final = frozenset({CANCEL, LEAVE_WAITLIST, DECLINE_OFFER, EXPIRE_OFFER})


def heads_wanted(snapshot: Snapshot, requests: Sequence[Request]) -> Iterator[tuple[int, int, int]]:
    """(event, size, how many of the oldest) for every size of which somebody waits and could be served.

    Enough for every request of the batch to be served after: nobody is missing whom its tickets should go to. Of
    bookings one is allowed for that gives up a place; `decide` ends the transaction after it.
    """
    makes_way = Counter(request.event_id for request in requests if request.kind in _MAKES_WAY)
    makes_way.update({request.event_id for request in requests if request.kind == BOOK})
    for event in snapshot.events.values():
        most = waitlist.OFFERS_MAX + SIZE_MAX + makes_way[event.id]
        tickets = max(event.free, 0) + SIZE_MAX * makes_way[event.id]
        for index, waiting in enumerate(event.waiting):
            entries = min(waiting, most, tickets // (index + 1))
            if entries:
                yield event.id, index + 1, entries


def line_up(snapshot: Snapshot, loaded: Mapping[tuple[int, int], int]) -> None:
    """Lines up the waiting entries by size. Of each size the oldest `loaded` are there; an asker's own may stand far
    behind them, and is left out: others wait in between.
    """
    for event in snapshot.events.values():
        for index, waiting in enumerate(event.waiting):
            queue = snapshot.queues[event.id][index]
            queue.complete = loaded.get((event.id, index + 1), 0) >= waiting
    for entry in sorted(snapshot.entries.values(), key=lambda entry: entry.number):
        if entry.status == WAITING:
            queue = snapshot.queues[entry.event_id][entry.tickets - 1]
            if queue.complete or len(queue.entries) < loaded.get((entry.event_id, entry.tickets), 0):
                queue.entries.append(entry)
