"""The list of users, for admins."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.store.paging import ListQuery, Page, PageRequest, fetch_page
from shared.store.words import BEGINNINGS

_COLUMNS: Final = "u.id, u.name, u.email, u.role, u.created_at"

# sort parameter → expression; each has an index, and the index of `email` is that of its uniqueness.
_KEYS: Final = {"created_at": "u.created_at", "name": "u.name", "email": "lower(u.email)"}

# Found by words first, whatever the order: the planner takes a rare prefix for a common one, and would read a million
# users in the order asked for until it has a page of them. `offset 0` keeps it from that.
_FOUND: Final = f"""(
    select * from users where deleted_at is null and user_words(name, email) @@ {BEGINNINGS} offset 0
) u"""  # noqa: S608 - constants only


def list_users(session: Session, *, role: str | None, search: str | None, page: PageRequest) -> Page:
    """A page of the accounts that are not closed. One round trip, two with a total.

    `search`: each of its words begins a word of the name or the e-mail address, in any case, with or without accents;
    without a word it finds nobody. Costs what is found: 1 ms for a name, half a second where a million match.
    """
    query = ListQuery(
        columns=_COLUMNS,
        tables="users u" if search is None else _FOUND,
        conditions=["u.deleted_at is null", *(["u.role = :role"] if role is not None else [])],
        parameters={"role": role, "search": search},
        key=_KEYS[page.sort],
        id="u.id",
    )
    return fetch_page(session, query, page)


def has_other_admin(session: Session, user_id: int) -> bool:
    """Whether there is an admin besides this user. One round trip."""
    statement = text(
        "select exists (select from users where role = 'admin' and deleted_at is null and id <> :user_id)"
    )
    found: bool = session.execute(statement, {"user_id": user_id}).scalar_one()
    return found
