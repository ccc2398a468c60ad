"""One page of a list: keyset paging with a total order, or an offset. SQL only, no HTTP."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.orm import Session

Key = datetime | str | int | uuid.UUID

# Counting reads every row that it counts: a million take a third of a second, this many some milliseconds.
TOTAL_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page ended: the sort key and the id of its last row."""

    key: Key
    id: int | uuid.UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Which page is asked for. `after` and `offset` exclude each other."""

    sort: str
    descending: bool = False
    limit: int = 20
    after: Position | None = None
    offset: int = 0
    with_total: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of a page, where the next one starts (None: this is the last), the total if asked for: at most
    TOTAL_MAX, and `total_is_exact` says whether there are more.
    """

    rows: Sequence[Mapping[str, Any]]
    next: Position | None
    total: int | None = None
    total_is_exact: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """The fixed SQL of a list: columns, tables, conditions with their parameters, sort key and id.

    `key` and `id` are column expressions; where they are the same, the id alone is the order. A total reads `counted`
    instead, the tables of the conditions, if those are fewer. Nothing here may come from a client except the values
    of `parameters`.
    """

    columns: str
    tables: str
    conditions: Sequence[str]
    parameters: Mapping[str, Any]
    key: str
    id: str
    counted: str | None = None


def fetch_page(session: Session, query: ListQuery, page: PageRequest) -> Page:
    """The page `page` of `query`. One round trip, and one more for the total.

    The comparison of (key, id) is one row comparison, so that PostgreSQL starts right there in an index on
    both.
    """
    order, where, parameters = keyset(query, page)
    # Fixed fragments of our own, never input: see ListQuery.
    statement = (
        f"select {query.columns}, {query.key} as page_key, {query.id} as page_id "  # noqa: S608
        f"from {query.tables} where {where} order by {order} limit :page_limit offset :page_offset"
    )
    rows = [dict(row) for row in session.execute(text(statement), parameters).mappings()]
    return make_page(session, query, page, rows)


def keyset(query: ListQuery, page: PageRequest) -> tuple[str, str, dict[str, Any]]:
    """ORDER BY, WHERE and parameters of a statement that gives the page and one row more."""
    parameters = {**query.parameters, "page_limit": page.limit + 1, "page_offset": page.offset}
    conditions = list(query.conditions)
    single = query.key == query.id
    if page.after is not None:
        operator = "<" if page.descending else ">"
        if single:
            conditions.append(f"{query.id} {operator} :after_id")
        else:
            conditions.append(f"({query.key}, {query.id}) {operator} (:after_key, :after_id)")
            parameters["after_key"] = page.after.key
        parameters["after_id"] = page.after.id
    direction = "desc" if page.descending else "asc"
    order = f"{query.id} {direction}" if single else f"{query.key} {direction}, {query.id} {direction}"
    return order, " and ".join(conditions) or "true", parameters


def make_page(
    session: Session, query: ListQuery, page: PageRequest, rows: Sequence[Mapping[str, Any]]
) -> Page:
    """The page in `rows`, of which one more than asked for says that there is a next one. A round trip for the
    total, if it is asked for.
    """
    shown = rows[: page.limit]
    last = shown[-1] if len(rows) > page.limit else None
    following = None if last is None else Position(last["page_key"], last["page_id"])
    if not page.with_total:
        return Page(shown, following)
    total = _count(session, query)
    return Page(shown, following, min(total, TOTAL_MAX), total <= TOTAL_MAX)


def _count(session: Session, query: ListQuery) -> int:
    """How many rows there are, but no more than one above TOTAL_MAX."""
    tables, conditions = query.counted or query.tables, " and ".join(query.conditions) or "true"
    counted = f"select 1 from {tables} where {conditions} limit :total_max"  # noqa: S608
    statement = f"select count(*) from ({counted}) counted"  # noqa: S608
    parameters = {**query.parameters, "total_max": TOTAL_MAX + 1}
    total: int = session.execute(text(statement), parameters).scalar_one()
    return total
