"""Offers and places on a waitlist are neither made up nor lost: each ends once, an accepted offer is one booking of its
size, and nobody has two places at once.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from scripts.trials.evidence import Evidence
from scripts.trials.recount import WAITLIST, Recount, Waiter
from scripts.trials.sources.tables import Decision

_OFFERS_AT_ONCE: Final = 500  # far more than one transaction makes


def waitlist_conserves(evidence: Evidence, seen: Counter[str]) -> Iterator[str]:
    """Follows every entry and every offer through the ledgers."""
    for event_id, rows in evidence.tables.ledgers.items():
        count, decided = Recount(), ""
        for index, row in enumerate(rows):
            if row.kind == "offer" and not evidence.losses:
                yield from _cause(row, decided, rows[index + 1 : index + _OFFERS_AT_ONCE])
            decided = decided if row.arrival is None else row.job_id
            waiter = count.entries.get(row.facts.get("entry_id", ""))
            was = None if waiter is None else waiter.status
            count.step(row)
            yield from count.take_odd(WAITLIST)
            if waiter is not None and was == "offered" != waiter.status:
                yield from _names_the_offer(row, waiter)
        seen["events"] += 1
        seen["offers"] += len(count.offers)
        seen["entries"] += len(count.entries)
        yield from _accepted(event_id, count)
    yield from _one_place(evidence)


def _names_the_offer(row: Decision, waiter: Waiter) -> Iterator[str]:
    if row.facts.get("offer_id") != waiter.offer_id:
        yield f"event {row.event_id}, decision {row.number}: ends offer {waiter.offer_id} without a word"


def _cause(row: Decision, decided: str, following: list[Decision]) -> Iterator[str]:
    """An offer is made around a decision of the same event: the last one before it, or the next one after it."""
    after = next((other.job_id for other in following if other.arrival is not None), None)
    if (cause := row.facts.get("cause")) not in (decided, after):
        yield f"event {row.event_id}, decision {row.number}: an offer, and its cause {cause} is not beside it"


def _accepted(event_id: int, count: Recount) -> Iterator[str]:
    for waiter in count.offers.values():
        if waiter.offer_status == "accepted" and waiter.booked != waiter.tickets:
            yield (
                f"event {event_id}: offer {waiter.offer_id} of {waiter.tickets} was accepted and became a booking of"
                f" {waiter.booked}"
            )


def _one_place(evidence: Evidence) -> Iterator[str]:
    live = Counter(
        (entry.event_id, entry.user_id)
        for entry in evidence.tables.entries
        if entry.status in ("waiting", "offered")
    )
    for (event_id, user_id), places in live.items():
        if places > 1:
            yield f"event {event_id}: user {user_id} has {places} places on the waitlist"
    for entry_id, offers in Counter(offer.entry_id for offer in evidence.tables.offers).items():
        if offers > 1:
            yield f"entry {entry_id} got {offers} offers"
