"""Reading organizations and who belongs to them."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.domain.organizations import MemberRole
from shared.ids import BIGINT_MAX
from shared.store.paging import ListQuery, Page, PageRequest, fetch_page
from shared.store.words import BEGINNINGS

_COLUMNS: Final = "o.id, o.name, o.logo_url, o.website_url, o.background_url, o.created_at"
_SORT_COLUMNS: Final = {"name": "o.name", "created_at": "o.created_at"}
# Found by words first, whatever the order, as in `shared/store/users.py`.
_FOUND: Final = f"""(
    select * from organizations where deleted_at is null and organization_words(name) @@ {BEGINNINGS} offset 0
) o"""  # noqa: S608 - constants only
_MEMBER_COLUMNS: Final = "m.user_id, u.name, m.role, m.created_at"
_MEMBER_TABLES: Final = "organization_members m join users u on u.id = m.user_id"
_MEMBER_SORT_COLUMNS: Final = {"created_at": "m.created_at", "name": "u.name"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationFilters:
    """What a list of organizations shows; `only_ids` None does not filter."""

    search: str | None = None
    only_ids: frozenset[int] | None = None


def find_organization(session: Session, organization_id: int) -> dict[str, Any] | None:
    """The organization, hidden ones not. One round trip."""
    if organization_id > BIGINT_MAX:
        return None
    statement = text(f"select {_COLUMNS} from organizations o where o.id = :id and o.deleted_at is null")  # noqa: S608
    row = session.execute(statement, {"id": organization_id}).mappings().one_or_none()
    return None if row is None else dict(row)


def list_organizations(session: Session, filters: OrganizationFilters, page: PageRequest) -> Page:
    """One page of organizations; each word of `search` begins one of the name's, in any case, with or without
    accents; without a word it finds none.

    One round trip, two with a total.
    """
    query = ListQuery(
        columns=_COLUMNS,
        tables="organizations o" if filters.search is None else _FOUND,
        conditions=[
            "o.deleted_at is null",
            *(["o.id = any(cast(:only_ids as bigint[]))"] if filters.only_ids is not None else []),
        ],
        parameters={"search": filters.search, "only_ids": sorted(filters.only_ids or ())},
        key=_SORT_COLUMNS[page.sort],
        id="o.id",
    )
    return fetch_page(session, query, page)


def list_members(session: Session, organization_id: int, page: PageRequest) -> Page:
    """One page of who belongs to the organization: never an address. One round trip, two with a total."""
    query = ListQuery(
        columns=_MEMBER_COLUMNS,
        tables=_MEMBER_TABLES,
        conditions=["m.organization_id = :organization_id"],
        parameters={"organization_id": organization_id},
        key=_MEMBER_SORT_COLUMNS[page.sort],
        id="m.user_id",
    )
    return fetch_page(session, query, page)


def find_member(session: Session, *, organization_id: int, user_id: int) -> dict[str, Any] | None:
    """The member as the list shows them. One round trip."""
    statement = text(
        f"select {_MEMBER_COLUMNS} from {_MEMBER_TABLES} "  # noqa: S608 - constants only
        "where m.organization_id = :organization_id and m.user_id = :user_id"
    )
    parameters = {"organization_id": organization_id, "user_id": user_id}
    row = session.execute(statement, parameters).mappings().one_or_none()
    return None if row is None else dict(row)


def find_membership(session: Session, *, organization_id: int, user_id: int) -> MemberRole | None:
    """The user's role in the organization, None without one. One round trip."""
    statement = text(
        "select role from organization_members where organization_id = :organization_id and user_id = :user_id"
    )
    parameters = {"organization_id": organization_id, "user_id": user_id}
    role: MemberRole | None = session.execute(statement, parameters).scalar_one_or_none()
    return role


def count_memberships(session: Session, user_id: int) -> int:
    """How many organizations the user belongs to."""
    statement = text("select count(*) from organization_members where user_id = :user_id")
    return int(session.execute(statement, {"user_id": user_id}).scalar_one())


def count_owners(session: Session, organization_id: int) -> int:
    """How many owners the organization has."""
    statement = text(
        "select count(*) from organization_members where organization_id = :organization_id and role = 'owner'"
    )
    return int(session.execute(statement, {"organization_id": organization_id}).scalar_one())


def find_first_owner(session: Session, organization_id: int) -> int | None:
    """Who owns the organization for the longest time, None when nobody does. One round trip."""
    statement = text(
        "select user_id from organization_members where organization_id = :organization_id and role = 'owner' "
        "order by created_at, user_id limit 1"
    )
    found: int | None = session.execute(statement, {"organization_id": organization_id}).scalar_one_or_none()
    return found
