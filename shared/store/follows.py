"""Reading whom somebody follows."""

from sqlalchemy.orm import Session

from shared.store.paging import ListQuery, Page, PageRequest, fetch_page


def list_following(session: Session, *, user_id: int, page: PageRequest) -> Page:
    """The hosts that somebody follows: `host_id`, `host_name`, `created_at`. One round trip, two with a total."""
    query = ListQuery(
        columns="f.host_id, h.name as host_name, f.created_at",
        tables="follows f join users h on h.id = f.host_id and h.deleted_at is null",
        conditions=["f.user_id = :user_id"],
        parameters={"user_id": user_id},
        key="f.created_at",
        id="f.host_id",
    )
    return fetch_page(session, query, page)
