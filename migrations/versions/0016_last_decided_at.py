"""An event's row knows when its newest ledger row was made: a clock that is set back must not set the ledger back.

Revision ID: 0016
Revises: 0015
"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# A constant default changes no row. Events from before have the beginning of time there until their next decision,
# whose time is then the clock's, as it was.
UPGRADE = """
alter table events add column last_decided_at timestamptz not null default '1970-01-01 00:00:00+00';
"""

DOWNGRADE = """
alter table events drop column last_decided_at;
"""


def upgrade() -> None:
    """Adds the column."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drops it."""
    op.execute(DOWNGRADE)
