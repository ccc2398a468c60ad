"""What people are told because of ledger rows: bookings, offers, call-offs, places on a waitlist."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from shared.clock import rfc3339
from shared.domain.ledger import CALL_OFF_SLICE, OFFER
from shared.domain.notifications import (
    BOOKING_CANCELLED,
    BOOKING_CONFIRMED,
    EVENT_CALLED_OFF,
    OFFER_EXPIRED,
    OFFER_EXPIRING,
    OFFER_MADE,
    WAITLIST_MOVED,
    Notice,
    waitlist_step,
)
from shared.domain.outcomes import CANCELLED, CONFIRMED
from shared.domain.requests import EXPIRE_OFFER
from shared.services.outbox import Message
from shared.store.ledger_news import (
    Holding,
    LedgerNews,
    OpenOffer,
    list_bookings_by_id,
    list_entries_by_id,
    list_moved,
    read_news,
)


def notices_of_ledger(session: Session, messages: Sequence[Message]) -> list[Notice]:
    """The notices of messages of topic `ledger`. One round trip when everything was refused, four at most."""
    ranges = [
        (message.event_id, message.from_number, message.to_number)
        for message in messages
        if message.event_id is not None and message.from_number is not None and message.to_number is not None
    ]
    if not ranges:
        return []
    news = read_news(session, ranges)
    notices = [notice for row in news for notice in _of_row(row)]
    notices += _of_call_offs(session, [row for row in news if row.kind == CALL_OFF_SLICE])
    notices += _of_moves(session, news)
    return notices


def notice_of_expiring(offer: OpenOffer) -> Notice:
    """That the offer is about to expire."""
    return Notice(
        user_id=offer.user_id,
        kind=OFFER_EXPIRING,
        cause=f"{OFFER_EXPIRING}:{offer.id}",
        event_id=offer.event_id,
        facts={
            "offer_id": str(offer.id),
            "entry_id": str(offer.entry_id),
            "tickets": offer.tickets,
            "expires_at": rfc3339(offer.expires_at),
        },
    )


def _of_row(row: LedgerNews) -> Iterator[Notice]:
    if row.outcome == CONFIRMED and row.booking_user_id is not None:
        facts = {
            "booking_id": str(row.booking_id),
            "tickets": row.booking_tickets,
            "reference": row.reference,
        }
        yield _notice(row, BOOKING_CONFIRMED, row.booking_user_id, facts)
    elif row.outcome == CANCELLED and row.booking_user_id is not None:
        facts = {
            "booking_id": str(row.booking_id),
            "tickets": row.booking_tickets,
            "by": row.facts.get("acting_as"),
        }
        yield _notice(row, BOOKING_CANCELLED, row.booking_user_id, facts)
    elif row.kind == OFFER and row.user_id is not None:
        facts = {
            "offer_id": str(row.job_id),
            "entry_id": row.facts["entry_id"],
            "tickets": row.tickets,
            "expires_at": row.facts["expires_at"],
        }
        yield _notice(row, OFFER_MADE, row.user_id, facts)
    elif row.kind == EXPIRE_OFFER and row.user_id is not None and row.facts.get("offer_id") is not None:
        facts = {
            "offer_id": row.facts["offer_id"],
            "entry_id": row.facts["entry_id"],
            "tickets": row.tickets,
        }
        yield _notice(row, OFFER_EXPIRED, row.user_id, facts)


def _notice(row: LedgerNews, kind: str, user_id: int, facts: Mapping[str, Any]) -> Notice:
    return Notice(
        user_id=user_id, kind=kind, cause=f"{kind}:{row.job_id}", event_id=row.event_id, facts=facts
    )


def _of_call_offs(session: Session, slices: Sequence[LedgerNews]) -> Iterator[Notice]:
    """Everybody whose booking or place on the waitlist ended with the event: once for each person and event."""
    events = {held: row.event_id for row in slices for held in _held_by(row)}
    for booking in list_bookings_by_id(
        session, [i for row in slices for i in row.facts.get("cancelled", ())]
    ):
        yield _called_off(events[str(booking.id)], booking, {"booking_id": str(booking.id), "entry_id": None})
    for entry in list_entries_by_id(session, [i for row in slices for i in row.facts.get("ended", ())]):
        yield _called_off(events[str(entry.id)], entry, {"booking_id": None, "entry_id": str(entry.id)})


def _held_by(row: LedgerNews) -> list[str]:
    return [*row.facts.get("cancelled", ()), *row.facts.get("ended", ())]


def _called_off(event_id: int, held: Holding, facts: Mapping[str, Any]) -> Notice:
    return Notice(
        user_id=held.user_id,
        kind=EVENT_CALLED_OFF,
        cause=f"{EVENT_CALLED_OFF}:{event_id}",
        event_id=event_id,
        facts={**facts, "tickets": held.tickets},
    )


def _of_moves(session: Session, news: Sequence[LedgerNews]) -> Iterator[Notice]:
    """Whoever waits behind an entry that waits no more. An entry whose offer ended had left its place before."""
    ended = [
        row.facts["entry_id"]
        for row in news
        if row.facts.get("entry_id") is not None and row.facts.get("offer_id") is None
    ]
    for moved in list_moved(session, ended):
        facts = {"entry_id": str(moved.entry_id), "place": moved.place}
        yield Notice(
            user_id=moved.user_id,
            kind=WAITLIST_MOVED,
            cause=f"{WAITLIST_MOVED}:{moved.entry_id}:{waitlist_step(moved.place)}",
            event_id=moved.event_id,
            facts=facts,
        )
