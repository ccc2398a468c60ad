"""Admins list the events that were deleted.

Revision ID: 0012
Revises: 0011
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the index without stopping anybody; every other index of events leaves these out."""
    with op.get_context().autocommit_block():
        op.execute("drop index concurrently if exists events_hidden_idx")
        op.execute(
            "create index concurrently events_hidden_idx on events (created_at, id) where deleted_at is not null"
        )


def downgrade() -> None:
    """Drops it."""
    op.execute("drop index events_hidden_idx")
