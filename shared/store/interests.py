"""Reading who is interested in an event, and in which events somebody is."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.store.events import EVENT_COLUMNS, EVENT_TABLES
from shared.store.paging import ListQuery, Page, PageRequest, fetch_page

# Back to draft, an event is shown to its host and its organization only.
_SHOWN: Final = """e.deleted_at is null and (e.status <> 'draft' or e.host_id = i.user_id or exists (
    select from organization_members m where m.organization_id = e.organization_id and m.user_id = i.user_id
))"""


# Over for a day: nobody will be told of its sale.
_PRUNE: Final = text(
    """
with over as (
    delete from interests where (event_id, user_id) in (
        select i.event_id, i.user_id from interests i join events e on e.id = i.event_id
        where e.ends_at < now() - interval '1 day' limit :limit
    ) returning 1
)
select count(*) from over
"""
)


def list_interests(session: Session, *, user_id: int, page: PageRequest) -> Page:
    """The events that somebody is interested in; rows for `make_event_row`, with `interested_at`. One round trip."""
    query = ListQuery(
        columns=f"{EVENT_COLUMNS}, i.created_at as interested_at",
        tables=f"{EVENT_TABLES} join interests i on i.event_id = e.id",
        conditions=["i.user_id = :user_id", _SHOWN],
        parameters={"user_id": user_id},
        key="i.created_at",
        id="i.event_id",
    )
    return fetch_page(session, query, page)


def list_interested(session: Session, *, event_id: int, page: PageRequest) -> Page:
    """Who is interested in an event: `user_id`, `user_name`, `created_at`. One round trip, two with a total."""
    query = ListQuery(
        # no join: what is counted stands in the index alone
        columns="i.user_id, (select u.name from users u where u.id = i.user_id) as user_name, i.created_at",
        tables="interests i",
        conditions=["i.event_id = :event_id"],
        parameters={"event_id": event_id},
        key="i.created_at",
        id="i.user_id",
    )
    return fetch_page(session, query, page)


def prune_interests(session: Session, limit: int) -> int:
    """Deletes up to `limit` interests in events that are over; returns how many. One round trip, which reads the
    table.
    """
    deleted: int = session.execute(_PRUNE, {"limit": limit}).scalar_one()
    return deleted


def count_interested(session: Session, event_id: int) -> int:
    """How many are interested in an event. One round trip; reads as many index entries."""
    statement = text("select count(*) from interests where event_id = :event_id")
    found: int = session.execute(statement, {"event_id": event_id}).scalar_one()
    return found
