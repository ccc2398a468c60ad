"""Organizations: who stands behind events, and who may manage them together.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# The reference is validated by 0014, when the lock on `events`, which every batch waits for, has gone.
UPGRADE = """
create table organizations (
    id bigint generated always as identity primary key,
    name text not null,
    logo_url text,
    website_url text,
    background_url text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz                    -- hidden: its hidden events still refer to it
);
create index organizations_name_idx on organizations (name, id) where deleted_at is null;
create index organizations_created_idx on organizations (created_at, id) where deleted_at is null;

create table organization_members (
    organization_id bigint not null references organizations,
    user_id bigint not null references users,
    role text not null check (role in ('owner', 'member')),
    created_at timestamptz not null default now(),
    primary key (organization_id, user_id)
);
create index organization_members_user_idx on organization_members (user_id, organization_id);

alter table events add column organization_id bigint,
    add constraint events_organization_id_fkey foreign key (organization_id) references organizations not valid;
"""

DOWNGRADE = """
alter table events drop column organization_id;
drop table organization_members, organizations;
"""


def upgrade() -> None:
    """Adds the tables and the column; every existing event belongs to none."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drops them."""
    op.execute(DOWNGRADE)
