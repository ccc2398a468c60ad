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
-- What happened and is still to be told on. A message is deleted in the transaction that has told it on; one that
-- cannot be told is set aside, so that those behind it are not kept. `event_id` is no foreign key: checking one locks
-- the event's row, which every batch locks for itself.
create table outbox (
    id bigint generated always as identity primary key,
    topic text not null,
    event_id bigint,
    from_number bigint,                       -- topic 'ledger': these rows of the event's ledger
    to_number bigint,
    payload jsonb not null default '{}',
    created_at timestamptz not null default now(),
    set_aside_at timestamptz,
    error text,                               -- why; the kind of error, never anybody's words
    constraint outbox_ledger_range check (
        (topic = 'ledger') = (from_number is not null and to_number is not null)
        and (topic <> 'ledger' or (event_id is not null and from_number between 1 and to_number))
    ),
    constraint outbox_error_iff_set_aside check ((set_aside_at is null) = (error is null))
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);  -- every row is soon a dead one

create table notifications (
    id uuid primary key,                      -- UUIDv7
    user_id bigint not null references users,
    kind text not null,
    cause text not null,                      -- what it tells of: one notification a person and cause
    event_id bigint,                          -- no foreign key, as above
    payload jsonb not null default '{}',
    created_at timestamptz not null default now(),
    read_at timestamptz,
    unread smallint not null generated always as (case when read_at is null then 1 else 0 end) stored,
    constraint notifications_cause_key unique (user_id, cause)
);
create index notifications_list_idx on notifications (user_id, unread, id);

-- When the event's sale was told of as open; taken back when the sale is put off. An index of those still to be told.
alter table events add column sales_announced_at timestamptz;
create index events_opening_idx on events (sales_open_at, id)
    where sales_announced_at is null and status = 'scheduled' and deleted_at is null;
"""

DOWNGRADE = """
alter table events drop column sales_announced_at;
drop table notifications, outbox;
"""


def upgrade() -> None:
    """Adds the tables; what was decided before is not told any more."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drops them."""
    op.execute(DOWNGRADE)
