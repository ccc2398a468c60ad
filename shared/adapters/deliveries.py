"""The port through which people are told, the delivery in the app, and its twin in memory.

A delivery works inside the transaction that deletes the outbox messages: no network there. One that leaves the
installation (mail, a broker) writes down what is to be sent, by the same rule of once for each person and cause, and
sends it afterwards.
"""

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy.orm import Session

from shared.domain.notifications import Notice
from shared.store.notifications import insert_notices


class Delivery(Protocol):
    """Tells people."""

    def deliver(self, session: Session, notices: Sequence[Notice]) -> None:
        """Tells each of them once for each person and cause, however often it is asked to; never a closed account."""


class InAppDelivery:
    """Notifications that people read in the app: rows."""

    def deliver(self, session: Session, notices: Sequence[Notice]) -> None:
        """One round trip."""
        insert_notices(session, notices)


class RememberedDelivery:
    """The twin: remembers in memory what was told. `closed` are the accounts that are."""

    def __init__(self) -> None:
        self.told: dict[tuple[int, str], Notice] = {}
        self.closed: set[int] = set()

    def deliver(self, session: Session, notices: Sequence[Notice]) -> None:  # noqa: ARG002 - the port's
        """No round trip."""
        for notice in notices:
            if notice.user_id not in self.closed:
                self.told.setdefault((notice.user_id, notice.cause), notice)
