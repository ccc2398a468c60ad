"""What only production minds: a database that holds the demo, a database role that may do more than it needs."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

DEMO_ACTION: Final = "demo.seed"

_HOLDS_DEMO: Final = text("select exists (select from audit_log where action = :action)")

# From the most to the least that a role can do to the past.
_POWERS: Final = text(
    """
select case
    when (select rolsuper from pg_roles where rolname = current_user) then 'is a superuser'
    when pg_has_role(current_user, (select relowner from pg_class where oid = 'decisions'::regclass), 'member')
        then 'owns the tables, or may become their owner'
    when has_schema_privilege('public', 'create') then 'may make tables'
    when has_table_privilege('decisions', 'update, delete, truncate')
            or has_any_column_privilege('decisions', 'update')
            or has_table_privilege('audit_log', 'update, delete, truncate')
            or has_any_column_privilege('audit_log', 'update') then 'may change the past'
end as power, current_user as role
"""
)


def holds_demo(session: Session) -> bool:
    """Whether the demo was ever written here, whose passwords are public. One round trip, by an index."""
    return bool(session.scalar(_HOLDS_DEMO, {"action": DEMO_ACTION}))


def role_warnings(session: Session) -> dict[str, str]:
    """`database_role` when this process' role can do what no process needs: change tables, or the ledger's past. One
    round trip.
    """
    power, role = session.execute(_POWERS).one()
    if power is None:
        return {}
    return {"database_role": f"The database role {role} {power}; work as guichet_app (deploy/roles.sql)"}
