"""The waitlist: entries in order of joining, and offers that hold their tickets for a while.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Constraints are validated by 0014, when the lock on `events`, which every batch waits for, has gone.
UPGRADE = """
create table waitlist_entries (
    id uuid primary key,                      -- derives from the request that made it
    event_id bigint not null references events,
    user_id bigint not null references users,
    job_id uuid not null unique,              -- the request that made it
    number bigint not null,                   -- that request's number in the ledger: the order of joining
    tickets integer not null check (tickets between 1 and 10),
    status text not null check (status in ('waiting', 'offered', 'accepted', 'declined', 'expired', 'left')),
    created_at timestamptz not null,
    ended_at timestamptz,
    constraint waitlist_entries_ended_at_iff_ended check ((status in ('waiting', 'offered')) = (ended_at is null))
);
create unique index waitlist_entries_one_live_key on waitlist_entries (event_id, user_id)
    where status in ('waiting', 'offered');
-- Who waits, said in other words than in the index below: a planner that was told nothing of the table would walk that
-- one, past everybody who wants another number of tickets.
create index waitlist_entries_next_idx on waitlist_entries (event_id, tickets, number)
    where ended_at is null and status <> 'offered';
create index waitlist_entries_place_idx on waitlist_entries (event_id, number) where status = 'waiting';
create index waitlist_entries_user_idx on waitlist_entries (user_id, id);

create table offers (
    id uuid primary key,                      -- the job id of its row in the ledger
    entry_id uuid not null unique references waitlist_entries,
    event_id bigint not null references events,
    user_id bigint not null references users,
    tickets integer not null check (tickets between 1 and 10),
    status text not null check (status in ('open', 'accepted', 'declined', 'expired')),
    expires_at timestamptz not null,
    created_at timestamptz not null,
    ended_at timestamptz,
    constraint offers_ended_at_iff_ended check ((status = 'open') = (ended_at is null))
);
create index offers_due_idx on offers (expires_at, id) where status = 'open';
create index offers_open_idx on offers (event_id, user_id) where status = 'open';

alter table control_requests
    add column offer_id uuid references offers,
    drop constraint control_requests_kind_check,
    add constraint control_requests_kind_check
        check (kind in ('call_off', 'cancel', 'leave_waitlist', 'expire_offer', 'serve_waitlist', 'end_waitlist'));
create unique index control_requests_one_expiry_key on control_requests (offer_id)
    where kind = 'expire_offer' and decided_at is null;

-- Defaults that are constants rewrite no row. `waiting` counts the waiting entries that want 1, 2, … 10 tickets.
alter table events
    add column offered integer not null default 0,
    add column waitlist_enabled boolean not null default true,
    add column waiting integer[] not null default '{0,0,0,0,0,0,0,0,0,0}',
    drop constraint events_never_oversold,
    add constraint events_never_oversold check (booked >= 0 and offered >= 0 and booked + offered <= capacity)
        not valid,
    add constraint events_waiting_counts check (cardinality(waiting) = 10 and 0 <= all (waiting)) not valid;

-- Tickets that a new booking could get now: what is free, and nothing while somebody waits whom that would serve.
create function available_tickets(capacity integer, booked integer, offered integer, waitlist_enabled boolean,
    waiting integer[]) returns integer language sql immutable as $$
    select case
        when waitlist_enabled and exists (
            select from unnest(waiting) with ordinality as w (entries, size)
            where w.entries > 0 and w.size <= capacity - booked - offered
        ) then 0
        else capacity - booked - offered
    end
$$;
"""

DOWNGRADE = """
drop function available_tickets;
alter table events
    drop constraint events_never_oversold,
    drop constraint events_waiting_counts,
    drop column offered,
    drop column waitlist_enabled,
    drop column waiting,
    add constraint events_never_oversold check (booked between 0 and capacity);
delete from control_requests where kind in ('leave_waitlist', 'expire_offer', 'serve_waitlist', 'end_waitlist');
alter table control_requests
    drop column offer_id,
    drop constraint control_requests_kind_check,
    add constraint control_requests_kind_check check (kind in ('call_off', 'cancel'));
drop table offers, waitlist_entries;
"""


def upgrade() -> None:
    """Adds the tables and the counters; nobody waits yet, and every event may have a waitlist."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drops them. The ledger keeps rows of kinds that an audit of the older release does not know."""
    op.execute(DOWNGRADE)
