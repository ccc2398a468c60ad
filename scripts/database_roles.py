"""The database's roles: who owns the tables, who works with them. What each may do is SQL, in `deploy/`."""

from contextlib import closing
from pathlib import Path
from typing import Final

import psycopg2
from sqlalchemy import Connection, text

_DEPLOY: Final = Path(__file__).resolve().parent.parent / "deploy"
ROLES: Final = _DEPLOY / "roles.sql"
GRANTS: Final = _DEPLOY / "grants.sql"

OWNER: Final = "guichet_owner"
APPLICATION: Final = "guichet_app"
READER: Final = "guichet_reader"

_HAS_ROLES: Final = text(
    "select count(*) = 2 and exists (select from pg_class where oid = to_regclass('public.decisions')"
    " and pg_has_role(current_user, relowner, 'usage')) from pg_roles where rolname in (:application, :reader)"
)


def make_roles(superuser_url: str) -> None:
    """Runs `roles.sql`, in one transaction; changes nothing where it was run before. `superuser_url` is libpq's."""
    with (
        closing(psycopg2.connect(superuser_url)) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(ROLES.read_text())


def apply_grants(connection: Connection) -> None:
    """Runs `grants.sql` in the connection's transaction; does nothing where there are no such roles, or where who asks
    does not own the tables: then their owner has done it.
    """
    if connection.scalar(_HAS_ROLES, {"application": APPLICATION, "reader": READER}):
        connection.execution_options(no_parameters=True).exec_driver_sql(GRANTS.read_text())
