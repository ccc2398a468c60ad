"""An event's ledger as the public reads it."""

from typing import Final

from sqlalchemy.orm import Session

from shared.store.paging import ListQuery, Page, PageRequest, fetch_page

# Everything that the hash covers, and never user_id.
_COLUMNS: Final = """
    d.job_id, d.number, d.arrival, d.kind, d.tickets, d.outcome, d.reason, d.booking_id, d.available_after,
    d.facts, d.accepted_at, d.decided_at, d.hash
"""


def list_decisions(session: Session, *, event_id: int, page: PageRequest) -> Page:
    """One page of the event's ledger by number. One round trip, two with a total."""
    query = ListQuery(
        columns=_COLUMNS,
        tables="decisions d",
        conditions=["d.event_id = :event_id"],
        parameters={"event_id": event_id},
        key="d.number",
        id="d.number",
    )
    return fetch_page(session, query, page)
