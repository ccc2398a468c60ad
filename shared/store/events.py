"""Reading events for clients: one event, and the list with its filters."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.domain.events import MAX_DURATION
from shared.ids import BIGINT_MAX
from shared.store.event_search import fetch_search_page
from shared.store.paging import ListQuery, Page, PageRequest, fetch_page


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """An event as clients read it; `available` is what a new booking could get, `read_at` the database's time,
    `line_paused` the pause of all lines.
    """

    id: int
    host_id: int
    host_name: str
    organization_id: int | None
    organization_name: str | None
    organization_logo_url: str | None
    title: str
    description: str
    venue: str
    category: str
    code: str | None
    time_zone: str
    starts_at: datetime
    ends_at: datetime
    sales_open_at: datetime | None
    sales_close_at: datetime
    sales_paused: bool
    price_minor: int
    currency: str
    capacity: int
    booked: int
    available: int
    max_per_booking: int
    waitlist_enabled: bool
    status: str
    impressions: int
    version: int
    last_number: int
    last_hash: bytes
    created_at: datetime
    updated_at: datetime
    read_at: datetime
    line_paused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilters:
    """What a list of events shows. Without `status` and `starts_…` it shows what is not over yet.

    `viewer_id` sees drafts of their own and of `viewer_organization_ids`, an admin all of them, None no drafts.
    `on_sale` is the slots list: published, and the sale is open or will be. `of_every_time` is for admins: what is over
    too; `hidden` what was deleted, and nothing else.
    """

    status: str | None = None
    category: str | None = None
    search: str | None = None
    starts_from: datetime | None = None
    starts_to: datetime | None = None
    host_id: int | None = None
    organization_id: int | None = None
    available_only: bool = False
    on_sale: bool = False
    viewer_id: int | None = None
    viewer_organization_ids: frozenset[int] = frozenset()
    viewer_is_admin: bool = False
    of_every_time: bool = False
    hidden: bool = False


_AVAILABLE: Final = "available_tickets(e.capacity, e.booked, e.offered, e.waitlist_enabled, e.waiting)"
EVENT_COLUMNS: Final = f"""
    e.id, e.host_id, u.name as host_name, e.organization_id, o.name as organization_name,
    o.logo_url as organization_logo_url, e.title, e.description, e.venue, e.category, e.code, e.time_zone,
    e.starts_at, e.ends_at, e.sales_open_at, e.sales_close_at, e.sales_paused, e.price_minor, e.currency,
    e.capacity, e.booked, {_AVAILABLE} as available, e.max_per_booking, e.waitlist_enabled, e.status,
    e.impressions, e.version, e.last_number, e.last_hash,
    e.created_at, e.updated_at, now() as read_at,
    (select l.paused and (l.resume_at is null or l.resume_at > now()) from line_state l) as line_paused
"""  # noqa: S608 - constants only
ADMIN_COLUMNS: Final = f"""
    {EVENT_COLUMNS}, e.offered, e.deleted_at,
    (select sum(entries) from unnest(e.waiting) as entries) as entries_waiting
"""  # noqa: S608 - constants only
EVENT_TABLES: Final = (
    "events e join users u on u.id = e.host_id left join organizations o on o.id = e.organization_id"
)

# sort parameter → column; each has an index on (column, id).
SORT_COLUMNS: Final = {
    "starts_at": "e.starts_at",
    "created_at": "e.created_at",
    "title": "e.title",
    "popularity": "e.impressions",
    "price": "e.price_minor",
}


def make_event_row(row: Mapping[str, Any]) -> EventRow:
    """The EventRow in a row that was selected with EVENT_COLUMNS, whatever stands beside them."""
    values = {name: row[name] for name in EventRow.__slots__}
    # psycopg2 gives bytea as memoryview
    return EventRow(**{**values, "last_hash": bytes(values["last_hash"])})


def find_event(session: Session, event_id: int) -> EventRow | None:
    """The event, drafts too, hidden ones not. One round trip."""
    if event_id > BIGINT_MAX:
        return None
    statement = f"select {EVENT_COLUMNS} from {EVENT_TABLES} where e.id = :id and e.deleted_at is null"  # noqa: S608
    row = session.execute(text(statement), {"id": event_id}).mappings().one_or_none()
    return None if row is None else make_event_row(dict(row))


def list_events(
    session: Session, filters: EventFilters, page: PageRequest, *, columns: str = EVENT_COLUMNS
) -> Page:
    """One page of events; rows for `make_event_row`. One round trip, two with a total; a search takes up to three
    more.
    """
    clauses = dict(_clauses(filters))
    query = ListQuery(
        columns=columns,
        tables=EVENT_TABLES,
        conditions=[f"e.deleted_at is {'not null' if filters.hidden else 'null'}", *clauses],
        parameters={name: value for parameters in clauses.values() for name, value in parameters.items()},
        key=SORT_COLUMNS[page.sort],
        id="e.id",
        counted="events e",
    )
    if filters.search is not None:
        return fetch_search_page(session, query, page, filters.search)
    return fetch_page(session, query, page)


_NO_DRAFTS_OF_OTHERS: Final = (
    "(e.status <> 'draft' or e.host_id = :viewer_id "
    "or e.organization_id = any(cast(:viewer_organization_ids as bigint[])))"
)


def _clauses(filters: EventFilters) -> Iterator[tuple[str, dict[str, Any]]]:
    """The conditions of `filters`, each with its parameters."""
    if not filters.viewer_is_admin and filters.viewer_id is None:
        yield "e.status <> 'draft'", {}
    elif not filters.viewer_is_admin:
        yield (
            _NO_DRAFTS_OF_OTHERS,
            {
                "viewer_id": filters.viewer_id,
                "viewer_organization_ids": sorted(filters.viewer_organization_ids),
            },
        )
    yield from ((clause, {}) for clause in _state_clauses(filters))
    if filters.category is not None:
        yield "lower(e.category) = lower(:category)", {"category": filters.category}
    if filters.starts_from is not None:
        yield "e.starts_at >= :starts_from", {"starts_from": filters.starts_from}
    if filters.starts_to is not None:
        yield "e.starts_at <= :starts_to", {"starts_to": filters.starts_to}
    if filters.host_id is not None:
        yield "e.host_id = :host_id", {"host_id": filters.host_id}
    if filters.organization_id is not None:
        yield "e.organization_id = :organization_id", {"organization_id": filters.organization_id}


# Each says more than it needs to, so that an index can begin where the list begins: what is archived has been over
# for a while, nothing lasts longer than MAX_DURATION, what is over has started, a sale is over when the event starts.
_NOT_OVER: Final = (
    "e.ends_at > now()",
    "not e.archived",
    f"e.starts_at > now() - interval '{MAX_DURATION.days} days'",
)
_STATUS_CLAUSES: Final = {
    "draft": ("e.status = 'draft'",),
    "scheduled": ("e.status = 'scheduled'", *_NOT_OVER),
    "cancelled": ("e.status = 'cancelled'",),
    "completed": ("e.status = 'scheduled'", "e.ends_at <= now()", "e.starts_at <= now()"),
}


def _state_clauses(filters: EventFilters) -> Iterator[str]:
    if filters.status is not None:
        yield from _STATUS_CLAUSES[filters.status]
    elif filters.starts_from is None and filters.starts_to is None and not filters.of_every_time:
        yield from _NOT_OVER
    if filters.on_sale or filters.available_only:
        yield "e.status = 'scheduled' and e.sales_close_at > now() and e.starts_at > now() and not e.archived"
    if filters.available_only:
        yield "e.has_tickets"
