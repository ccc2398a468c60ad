"""What is forgotten of a closed account: whom and what it followed, who followed it, what it was told."""

from typing import Any, Final, cast

from sqlalchemy import CursorResult, text
from sqlalchemy.orm import Session

# Rows of a table in one statement, while somebody waits for the answer. A host may have a million followers.
SLICE: Final = 10_000

_OWN: Final = (
    ("interests", "user_id"),
    ("follows", "user_id"),
    ("follows", "host_id"),
    ("notifications", "user_id"),
)


def forget(session: Session, user_id: int) -> None:
    """Deletes what belongs to the account, a slice of each; the rest is left to `forget_closed`, as is a row that
    somebody has locked: two who follow each other may both leave at once. Four round trips.
    """
    for table, column in _OWN:
        rows = f"select t.ctid from {table} t where t.{column} = :user_id"  # noqa: S608
        _delete(session, table, rows, SLICE, user_id=user_id)


def forget_closed(session: Session, *, limit: int) -> int:
    """Deletes what still belongs to closed accounts, also what was written after they were closed: `limit` rows of each
    table at most. Returns how many; fewer than `limit` when nothing is left. Four round trips.
    """
    rows = "select t.ctid from users u join {} t on t.{} = u.id where u.deleted_at is not null"
    return sum(_delete(session, table, rows.format(table, column), limit) for table, column in _OWN)


def _delete(session: Session, table: str, rows: str, limit: int, **parameters: int) -> int:
    some = f"{rows} limit :limit for update of t skip locked"
    statement = text(f"delete from {table} where ctid = any(array({some}))")  # noqa: S608 - our own names
    done = session.execute(statement, {**parameters, "limit": limit})
    return cast("CursorResult[Any]", done).rowcount
