"""What was not validated under the lock on `events`: readers and batches go on meanwhile.

Revision ID: 0014
Revises: 0013
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

UPGRADE = """
alter table events validate constraint events_organization_id_fkey;
alter table events validate constraint events_never_oversold;
alter table events validate constraint events_waiting_counts;
create index events_organization_idx on events (organization_id, starts_at, id)
    where deleted_at is null and organization_id is not null;
"""

DOWNGRADE = """
drop index events_organization_idx;
"""


def upgrade() -> None:
    """Validates the constraints of 0003 and 0004; builds an index over organizations' events, of which there are none."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drops the index."""
    op.execute(DOWNGRADE)
