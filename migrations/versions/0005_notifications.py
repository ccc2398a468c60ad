"""Notifications in the app, and the outbox that they are made from.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

UPGRADE = """
-- What happened and is still to be told on. A message is deleted in the transaction that has told it on.
create table outbox (
    id bigint generated always as identity primary key,
    topic text not null,
    event_id bigint references events,
    from_number bigint,                       -- topic 'ledger': these rows of the event's ledger
    to_number bigint,
    payload jsonb not null default '{}',
    created_at timestamptz not null default now(),
    constraint outbox_ledger_range check (
        (topic = 'ledger') = (from_number is not null and to_number is not null)
        and (topic <> 'ledger' or (event_id is not null and from_number between 1 and to_number))
    )
);

create table notifications (
    id uuid primary key,                      -- UUIDv7
    user_id bigint not null references users,
    kind text not null,
    cause text not null,                      -- what it tells of: one notification a person and cause
    event_id bigint references events,
    payload jsonb not null default '{}',
    created_at timestamptz not null default now(),
    read_at timestamptz,
    constraint notifications_cause_key unique (user_id, cause)
);
create index notifications_user_idx on notifications (user_id, id);
create index notifications_unread_idx on notifications (user_id, id) where read_at is null;
"""

DOWNGRADE = """
drop table notifications, outbox;
"""


def upgrade() -> None:
    """Adds the tables; what was decided before is not told any more."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drops them."""
    op.execute(DOWNGRADE)
