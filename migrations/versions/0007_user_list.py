"""The list of users: in each order, and by role.

Revision ID: 0007
Revises: 0006
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

UPGRADE = """
-- In one transaction with the rest: registering waits for some seconds where there are a million users, and nothing is
-- left half done. `lower(email)` has its index already.
create index users_created_idx on users (created_at, id) where deleted_at is null;
create index users_name_idx on users (name, id) where deleted_at is null;
create index users_role_idx on users (role, created_at, id) where deleted_at is null;
"""

DOWNGRADE = """
drop index users_role_idx, users_name_idx, users_created_idx;
"""


def upgrade() -> None:
    """Adds the indexes."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drops them."""
    op.execute(DOWNGRADE)
