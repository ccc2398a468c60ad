"""What the nightly checks of all ledgers found.

Revision ID: 0010
Revises: 0009
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

UPGRADE = """
create table ledger_audits (
    night date primary key,                   -- in UTC
    started_at timestamptz not null default now(),
    ended_at timestamptz,
    ledger_rows bigint,
    findings bigint,
    failed jsonb,                             -- check -> findings, of those that found something
    constraint ledger_audits_result_iff_ended check (
        (ended_at is null) = (ledger_rows is null) and (ended_at is null) = (findings is null)
        and (ended_at is null) = (failed is null)
    )
);
"""

DOWNGRADE = """
drop table ledger_audits;
"""


def upgrade() -> None:
    """Adds the table."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drops it."""
    op.execute(DOWNGRADE)
