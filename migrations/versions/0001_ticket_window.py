"""The ticket window: accounts, events, bookings, the ledger, and what steers the line.

Revision ID: 0001
Revises:
"""

import secrets
import uuid

import sqlalchemy as sa
from alembic import context, op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UPGRADE = """
create table users (
    id bigint generated always as identity primary key,
    name text not null,
    email text not null,
    password_hash text,                       -- null: cannot log in (load users, deleted accounts)
    role text not null check (role in ('attendee', 'host', 'admin')),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz
);
create unique index users_email_key on users (lower(email)) where deleted_at is null;
create index users_deleted_idx on users (id) where deleted_at is not null;

create table refresh_tokens (
    id uuid primary key,                      -- the token's jti
    family_id uuid not null,
    user_id bigint not null references users,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at timestamptz
);
create index refresh_tokens_family_id_idx on refresh_tokens (family_id);
create index refresh_tokens_user_id_idx on refresh_tokens (user_id);
create index refresh_tokens_expires_at_idx on refresh_tokens (expires_at);

-- What no longer counts: 'family:<uuid>' (a log-in) or 'user:<id>' (an account). A row outlives every token
-- that it concerns.
create table revoked_tokens (
    subject text primary key,
    revoked_at timestamptz not null default now(),
    expires_at timestamptz not null
);
create index revoked_tokens_revoked_at_idx on revoked_tokens (revoked_at);

create table login_failures (
    id bigint generated always as identity primary key,
    account text not null,                    -- sha256 of the lower-cased address that was tried
    address text not null,
    failed_at timestamptz not null default now()
);
create index login_failures_address_idx on login_failures (address, failed_at);
create index login_failures_failed_at_idx on login_failures (failed_at);

create table events (
    id bigint generated always as identity primary key,
    host_id bigint not null references users,
    title text not null,
    description text not null default '',
    venue text not null default '',
    category text not null default '',
    code text,
    time_zone text not null,
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    sales_open_at timestamptz,
    sales_close_at timestamptz not null,
    sales_paused boolean not null default false,
    price_minor bigint not null default 0,
    currency text not null default 'EUR',
    capacity integer not null,
    booked integer not null default 0,
    max_per_booking integer not null default 10,
    status text not null default 'draft' check (status in ('draft', 'scheduled', 'cancelled')),
    impressions bigint not null default 0,
    version bigint not null default 1,        -- grows with edits only
    last_number bigint not null default 0,    -- the ledger's head
    last_hash bytea not null default decode(repeat('00', 32), 'hex'),
    last_arrival bigint not null default 0,
    arrivals_reissued bigint not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz,
    search_text tsvector generated always as (
        to_tsvector('simple', title || ' ' || description || ' ' || venue)
    ) stored,
    constraint events_never_oversold check (booked between 0 and capacity),
    constraint events_capacity_range check (capacity between 1 and 10000000),
    constraint events_max_per_booking_range check (max_per_booking between 1 and 10),
    constraint events_price_range check (price_minor >= 0),
    constraint events_ends_after_start check (ends_at >= starts_at),
    constraint events_sales_close_by_start check (sales_close_at <= starts_at),
    constraint events_sales_open_before_close check (sales_open_at is null or sales_open_at < sales_close_at),
    constraint events_code_key unique (code)
) with (fillfactor = 70);                     -- counters change often: leave room for HOT updates
create index events_upcoming_idx on events (starts_at, id) where deleted_at is null;
create index events_created_idx on events (created_at, id) where deleted_at is null;
create index events_title_idx on events (title, id) where deleted_at is null;
create index events_price_idx on events (price_minor, id) where deleted_at is null;
create index events_popularity_idx on events (impressions, id) where deleted_at is null;
create index events_host_idx on events (host_id, starts_at, id) where deleted_at is null;
create index events_search_idx on events using gin (search_text);

create sequence booking_reference_seq increment by 1000 minvalue 0 start 0;  -- a worker takes a thousand numbers at a time

create table bookings (
    id uuid primary key,                      -- UUIDv7
    reference text not null unique,
    event_id bigint not null references events,
    user_id bigint not null references users,
    job_id uuid not null unique,              -- the request that made it
    tickets integer not null check (tickets between 1 and 10),
    status text not null check (status in ('confirmed', 'cancelled')),
    price_minor bigint not null,
    currency text not null,
    arrival bigint not null,
    created_at timestamptz not null,
    cancelled_at timestamptz,
    constraint bookings_cancelled_at_iff_cancelled check ((status = 'cancelled') = (cancelled_at is not null))
);
create unique index bookings_one_live_key on bookings (event_id, user_id) where status <> 'cancelled';
create index bookings_user_idx on bookings (user_id, id);
create index bookings_event_idx on bookings (event_id, id);

create table decisions (
    job_id uuid primary key,
    event_id bigint not null references events,
    number bigint not null check (number > 0),
    arrival bigint,                           -- null for control rows and slices
    kind text not null,
    user_id bigint,
    tickets integer,
    outcome text not null,
    reason text,
    booking_id uuid,
    available_after integer not null,
    facts jsonb not null,
    accepted_at timestamptz not null,
    decided_at timestamptz not null,
    hash bytea not null,
    constraint decisions_number_key unique (event_id, number)
);
create index decisions_user_idx on decisions (user_id, job_id) where user_id is not null;

create function refuse_ledger_change() returns trigger language plpgsql as $$
begin
    raise exception 'the ledger is append-only' using errcode = 'restrict_violation';
end $$;
create trigger decisions_append_only before update or delete on decisions
    for each row execute function refuse_ledger_change();
create trigger decisions_no_truncate before truncate on decisions
    for each statement execute function refuse_ledger_change();

-- Requests that the control plane makes: written in the transaction that causes them, with their job id fixed,
-- then put into the line, again and again until they are there.
create table control_requests (
    job_id uuid primary key,
    kind text not null check (kind in ('call_off', 'cancel')),
    event_id bigint not null references events,
    user_id bigint references users,
    booking_id uuid references bookings,
    acting_as text not null,
    request_id text,
    created_at timestamptz not null default now(),
    queued_at timestamptz,                    -- last put into the line
    decided_at timestamptz                    -- the ledger was seen to know it: nothing left to do
);
create index control_requests_undecided_idx on control_requests (created_at) where decided_at is null;

create sequence claim_token_seq;

create table line_state (
    id boolean primary key default true check (id),   -- one row
    installation_id uuid not null,
    partitions integer not null check (partitions between 1 and 1024),
    reference_key bytea not null,             -- makes booking references; never changes
    paused boolean not null default false,
    pause_reason text,
    paused_by bigint references users,
    paused_at timestamptz,
    resume_at timestamptz
);

create table idempotency_keys (
    actor text not null,
    key_hash bytea not null,
    fingerprint bytea not null,
    status smallint not null,
    headers jsonb not null,
    body bytea not null,
    created_at timestamptz not null default now(),
    primary key (actor, key_hash)
);
create index idempotency_keys_created_at_idx on idempotency_keys (created_at);

create table audit_log (
    id uuid primary key,                      -- UUIDv7
    actor_id bigint references users,         -- null: a command on the server
    action text not null,
    target_type text not null,
    target_id text not null,
    reason text,
    changes jsonb not null default '{}',
    job_id uuid,                              -- the ledger's control row this change wrote
    request_id text,
    at timestamptz not null default now()
);
create index audit_log_target_idx on audit_log (target_type, target_id, id);
create index audit_log_actor_idx on audit_log (actor_id, id);
create unique index audit_log_job_key on audit_log (job_id) where job_id is not null;
"""

DOWNGRADE = """
drop table audit_log, idempotency_keys, line_state, control_requests, decisions, bookings, events, login_failures,
    revoked_tokens, refresh_tokens, users;
drop sequence claim_token_seq, booking_reference_seq;
drop function refuse_ledger_change;
"""


def upgrade() -> None:
    """Creates everything and fixes the installation: its id, its number of partitions, its reference key."""
    op.execute(UPGRADE)
    partitions = int(context.config.attributes["partitions"])
    op.get_bind().execute(
        sa.text(
            "insert into line_state (installation_id, partitions, reference_key) values (:id, :partitions, :key)"
        ),
        {"id": uuid.uuid4(), "partitions": partitions, "key": secrets.token_bytes(32)},
    )


def downgrade() -> None:
    """Drops everything; the ledger goes with it."""
    op.execute(DOWNGRADE)
