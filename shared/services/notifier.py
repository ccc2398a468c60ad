"""The outbox' handler that tells people: what messages say, as notices, through every delivery."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy.orm import Session

from shared.adapters.deliveries import Delivery
from shared.services.fan_out import notices_of_fan_outs
from shared.services.ledger_notices import notice_of_expiring, notices_of_ledger
from shared.services.outbox import OFFERS_EXPIRING, Handler, Message
from shared.store.ledger_news import list_open_offers

_OFFERS: Final = "offers"  # in a payload: their ids


def make_notifier(deliveries: Sequence[Delivery]) -> Handler:
    """A handler that tells people through `deliveries`. A handful of round trips for all messages together, and two
    more for each slice of a fan-out.
    """

    def notify(session: Session, messages: Sequence[Message]) -> None:
        notices = [
            *notices_of_ledger(session, messages),
            *notices_of_fan_outs(session, messages),
            *(notice_of_expiring(offer) for offer in list_open_offers(session, _expiring(messages))),
        ]
        for delivery in deliveries:
            delivery.deliver(session, notices)

    return notify


def _expiring(messages: Sequence[Message]) -> list[str]:
    return [
        offer_id
        for message in messages
        if message.topic == OFFERS_EXPIRING
        for offer_id in message.payload[_OFFERS]
    ]
