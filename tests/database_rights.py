"""What each database role may do with each table, and what it may do with none."""

from sqlalchemy import text

from shared.models import Base
from tests.database_roles import RoleDatabase

TABLES = sorted({*Base.metadata.tables, "alembic_version"})


# Table by table, what the application may do besides reading. Columns: only those.
ADDED_TO = {"insert"}


ANYTHING = {"insert", "update", "delete"}
MAY: dict[str, set[str]] = {
    "decisions": ADDED_TO,
    "audit_log": ADDED_TO,
    "alembic_version": set(),
    "line_state": {"update"},
    "analytics_state": {"update walked_to history_counted registrations_to"},
    "users": {"insert", "update name email password_hash role updated_at deleted_at"},
    "refresh_tokens": {"insert", "delete", "update used_at"},
    "revoked_tokens": {"insert", "delete", "update revoked_at expires_at"},
    "login_failures": {"insert", "delete"},
    "idempotency_keys": {"insert", "delete", "update status headers body"},
    "events": {
        "insert",
        (
            "update host_id organization_id title description venue category code time_zone starts_at ends_at sales_open_at"
            " sales_close_at sales_paused sales_announced_at price_minor currency capacity booked offered max_per_booking"
            " waitlist_enabled waiting status impressions version last_number last_hash last_arrival arrivals_reissued"
            " drained_up_to drained_until drain_reason last_decided_at updated_at deleted_at archived"
        ),
    },
    "bookings": {"insert", "update status cancelled_at"},
    "waitlist_entries": {"insert", "update status ended_at"},
    "offers": {"insert", "update status ended_at"},
    "organizations": {
        "insert",
        "update name logo_url website_url background_url updated_at deleted_at",
    },
    "organization_members": {"insert", "delete", "update role"},
    "interests": {"insert", "delete", "update created_at"},
    "follows": {"insert", "delete", "update created_at"},
    "notifications": {"insert", "delete", "update read_at"},
    "outbox": {"insert", "delete", "update set_aside_at error"},
    "control_requests": {"insert", "update queued_at decided_at"},
    "event_totals": {"insert", "update"},
    "event_days": {"insert", "update"},
    "event_day_revenue": {"insert", "update"},
    "day_totals": {"insert", "update"},
    "event_months": ANYTHING,
    "day_revenue": ANYTHING,
    "start_days": ANYTHING,
    "user_days": ANYTHING,
    "activity_days": ANYTHING,
    "ledger_audits": {"insert", "update started_at ended_at ledger_rows findings failed"},
}


# What whoever only looks sees of tables that it does not see whole; of others nothing, or everything.
SEEN_IN_PART = {
    "users": {"id", "role", "created_at", "updated_at", "deleted_at"},
    "line_state": {
        *(
            "id",
            "installation_id",
            "partitions",
            "paused",
            "pause_reason",
            "paused_by",
            "paused_at",
            "resume_at",
        )
    },
}


UNSEEN = {"refresh_tokens", "revoked_tokens", "login_failures", "idempotency_keys", "notifications"}


# None of these is for the application, whatever the table.
CHANGES_OF_A_TABLE = [
    "truncate {table}",
    "drop table {table}",
    "alter table {table} add column planted text",
    "alter table {table} disable trigger all",
    "alter table {table} disable row level security",
    "alter table {table} owner to guichet_app",
    "alter table {table} rename to renamed",
    "create index planted on {table} ((1))",
    "create trigger planted before insert on {table} for each row execute function refuse_ledger_change()",
    "create rule planted as on delete to {table} do instead nothing",
    "create policy planted on {table}",
    "comment on table {table} is 'planted'",
]


LIFTED = {"claim_token_seq", "booking_reference_seq", "events_id_seq", "users_id_seq"}


def may(table: str, verb: str) -> bool:
    return verb == "select" or verb in MAY[table]


def columns_changed(table: str) -> set[str] | None:
    """The columns that the application may change; None for all of them."""
    if "update" in MAY[table]:
        return None
    return {name for entry in MAY[table] if entry.startswith("update ") for name in entry.split()[1:]}


def columns_of(database: RoleDatabase, table: str, *, writable: bool = False) -> list[str]:
    query = "select attname from pg_attribute where attrelid = cast(:table as regclass) and attnum > 0 and not attisdropped"
    if writable:
        query += " and attgenerated = '' and attidentity = ''"
    with database.superuser.connect() as connection:
        return list(connection.execute(text(query), {"table": table}).scalars())
