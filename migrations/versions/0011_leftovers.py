"""What closed accounts leave behind is looked up: which booking was asked to be cancelled, which waitlist to be left.

Revision ID: 0011
Revises: 0010
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

UPGRADE = """
create index control_requests_booking_idx on control_requests (booking_id) where booking_id is not null;
create index control_requests_leaving_idx on control_requests (user_id, event_id) where kind = 'leave_waitlist';
"""

DOWNGRADE = """
drop index control_requests_booking_idx, control_requests_leaving_idx;
"""


def upgrade() -> None:
    """Adds the indexes."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drops them."""
    op.execute(DOWNGRADE)
