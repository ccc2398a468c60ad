"""What was not validated under the lock on `events`, and an index that the lock could not wait for.

Revision ID: 0014
Revises: 0013
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# Readers and batches go on meanwhile. Everything may run again, because the index comes after the commit.
UPGRADE = """
alter table events validate constraint events_organization_id_fkey;
alter table events validate constraint events_never_oversold;
alter table events validate constraint events_waiting_counts;
"""

INDEX = """
create index concurrently events_organization_idx on events (organization_id, starts_at, id)
    where deleted_at is null and organization_id is not null
"""

DOWNGRADE = """
drop index events_organization_idx;
"""


def upgrade() -> None:
    """Validates the constraints of 0003 and 0004, and indexes organizations' events, of which there are none yet."""
    op.execute(UPGRADE)
    with op.get_context().autocommit_block():
        op.execute("drop index concurrently if exists events_organization_idx")
        op.execute(INDEX)


def downgrade() -> None:
    """Drops the index."""
    op.execute(DOWNGRADE)
