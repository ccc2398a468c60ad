"""Interest in an event before its sale, and following hosts.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

UPGRADE = """
create table interests (
    event_id bigint not null references events,
    user_id bigint not null references users,
    created_at timestamptz not null default now(),
    primary key (event_id, user_id)
);
create index interests_event_idx on interests (event_id, created_at, user_id);
create index interests_user_idx on interests (user_id, created_at, event_id);

create table follows (
    host_id bigint not null references users,
    user_id bigint not null references users,
    created_at timestamptz not null default now(),
    primary key (host_id, user_id),
    constraint follows_not_oneself check (host_id <> user_id)
);
create index follows_user_idx on follows (user_id, created_at, host_id);
"""

DOWNGRADE = """
drop table follows, interests;
"""


def upgrade() -> None:
    """Adds the tables."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drops them."""
    op.execute(DOWNGRADE)
