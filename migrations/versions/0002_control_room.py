"""The control room: an event's drain mark; the audit log can be read by action and by request.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# The indexes first: the lock on `events`, which every batch waits for, comes last and lasts for milliseconds. A
# default that is a constant rewrites no row.
UPGRADE = """
create index audit_log_action_idx on audit_log (action, id);
create index audit_log_request_idx on audit_log (request_id) where request_id is not null;
create index refresh_tokens_live_idx on refresh_tokens (expires_at) where used_at is null;  -- counting log-ins

alter table events
    add column drained_up_to bigint not null default 0,   -- requests up to this arrival are withdrawn …
    add column drained_until timestamptz,                 -- … if they were accepted by then (Redis' clock)
    add column drain_reason text,
    add constraint events_drain_mark check (
        drained_up_to >= 0
        and (drained_up_to > 0) = (drained_until is not null)
        and (drained_up_to > 0) = (drain_reason is not null)
    );
"""

DOWNGRADE = """
alter table events drop column drained_up_to, drop column drained_until, drop column drain_reason;
drop index audit_log_action_idx, audit_log_request_idx, refresh_tokens_live_idx;
"""


def upgrade() -> None:
    """Adds the columns; every existing event was never drained."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drops them. `drain` rows stay in the ledger, and an audit of the older release does not know their kind."""
    op.execute(DOWNGRADE)
