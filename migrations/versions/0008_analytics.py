"""Analytics: what the ledger says, rolled up by event, day and month.

Revision ID: 0008
Revises: 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# No foreign keys: checking one locks the event's row, which every batch locks for itself; and rows that a ledger
# refers to are never removed. Money is numeric: nothing that hosts may ask for as a price can overflow a sum.
UPGRADE = """
-- How far each event's ledger is counted, what came of it, and the event as its last event_set row has it.
create table event_totals (
    event_id bigint primary key,
    known_number bigint not null default 0,   -- the highest row heard of …
    counted_number bigint not null default 0, -- … and the last one counted
    starts_on date,                           -- UTC; null before the first event_set row
    published boolean not null default false, -- scheduled, not hidden
    capacity integer not null default 0,
    bookings bigint not null default 0,
    tickets bigint not null default 0,
    cancellations bigint not null default 0,
    tickets_cancelled bigint not null default 0,
    waitlisted bigint not null default 0,
    constraint event_totals_counted_is_known check (counted_number between 0 and known_number)
) with (fillfactor = 80);
-- Of the few that are behind. Asked for in its order: the planner takes a third of the table to be behind, and would
-- rather look for the first of them in any other way.
create index event_totals_behind_idx on event_totals ((known_number - counted_number) desc)
    where counted_number < known_number;
create index event_totals_bookings_idx on event_totals (bookings desc, event_id);

create table event_days (
    event_id bigint not null,
    day date not null,                        -- UTC
    bookings bigint not null default 0,
    tickets bigint not null default 0,
    cancellations bigint not null default 0,
    tickets_cancelled bigint not null default 0,
    waitlisted bigint not null default 0,
    impressions bigint not null default 0,
    primary key (event_id, day)
) with (fillfactor = 80);
create index event_days_bookings_idx on event_days (day, bookings desc, event_id);
create index event_days_impressions_idx on event_days (day, impressions desc, event_id) where impressions > 0;

create table event_day_revenue (              -- free bookings have no row
    event_id bigint not null,
    day date not null,
    currency text not null,
    booked_minor numeric not null default 0,
    cancelled_minor numeric not null default 0,
    primary key (event_id, day, currency)
) with (fillfactor = 80);

create table event_months (                   -- for the most popular of a long period
    event_id bigint not null,
    month date not null,                      -- its first day
    bookings bigint not null default 0,
    impressions bigint not null default 0,
    primary key (event_id, month)
) with (fillfactor = 80);
create index event_months_bookings_idx on event_months (month, bookings desc, event_id) where bookings > 0;
create index event_months_impressions_idx on event_months (month, impressions desc, event_id) where impressions > 0;

create table day_totals (
    day date primary key,
    bookings bigint not null default 0,
    tickets bigint not null default 0,
    cancellations bigint not null default 0,
    tickets_cancelled bigint not null default 0,
    waitlisted bigint not null default 0,
    impressions bigint not null default 0,
    registrations bigint not null default 0
) with (fillfactor = 50);

create table day_revenue (
    day date not null,
    currency text not null,
    booked_minor numeric not null default 0,
    cancelled_minor numeric not null default 0,
    primary key (day, currency)
) with (fillfactor = 50);

create table start_days (                     -- published events by the day on which they start
    day date primary key,
    events bigint not null default 0,
    capacity bigint not null default 0,
    tickets bigint not null default 0         -- in live bookings
) with (fillfactor = 50);

create table user_days (                      -- who asked for something that was decided on that day
    user_id bigint not null,
    day date not null,
    primary key (user_id, day)
);

create table activity_days (                  -- how many were active on `day` and, before that, last on `previous_day`
    day date not null,
    previous_day date not null,               -- -infinity: never before; 0001-01-01: more than 366 days before
    users bigint not null default 0,
    primary key (day, previous_day)
) with (fillfactor = 50);

create table analytics_state (
    id boolean primary key default true check (id),   -- one row
    walked_to bigint not null default 0,      -- events up to this id had their ledgers' heads looked up
    history_counted boolean not null default false,
    registrations_to date                     -- the last day whose registrations were counted
);
insert into analytics_state default values;

-- Whoever registered, closed accounts too: the day's registrations are counted again and again while it lasts.
create index users_registered_idx on users (created_at);
"""

DOWNGRADE = """
drop index users_registered_idx;
drop table analytics_state, activity_days, user_days, start_days, day_revenue, day_totals, event_months,
    event_day_revenue, event_days, event_totals;
"""


def upgrade() -> None:
    """Adds the tables, empty; the task worker counts what was decided before."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drops them; the ledger has everything but the days of the impressions."""
    op.execute(DOWNGRADE)
