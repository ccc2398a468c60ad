"""Lists of events at scale: a search that folds accents and knows titles, and what is left to list, indexed.

Revision ID: 0009
Revises: 0008
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# `events` is rewritten once, under its lock: batches wait for it, requests are accepted meanwhile. Everything may run
# again, because the indexes come after the commit.
#
# `has_tickets` may stand in an index although every batch writes what it derives from: PostgreSQL compares the values
# of indexed columns, and this one changes when an event sells out. The function is asked only where somebody waits.
#
# `archived` is a hint for indexes: over for an hour and longer, so that no list of what is coming has to read past it.
UPGRADE = r"""
-- What counts of a text in a search: letters and digits, without accents and case; the rest is space between words.
create or replace function search_words(words text) returns text language sql immutable strict parallel safe as $$
    select normalize(
        regexp_replace(
            regexp_replace(
                replace(replace(replace(replace(
                    translate(lower(normalize(words, nfkd)), 'øłđðħıŧ', 'olddhit'),
                'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th'),
                '[\u0300-\u036f]', '', 'g'),
            '[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u2000-\u206f\u3000-\u3003\u3008-\u3020]+',
            ' ', 'g'),
        nfkc)
$$;

-- The words one after the other, the last of them perhaps unfinished.
create or replace function search_prefix(words text) returns tsquery language sql immutable strict parallel safe as $$
    select case when numnode(q) = 0 then q else (q::text || ':*')::tsquery end
    from phraseto_tsquery('simple', words) q
$$;

drop index if exists events_search_idx;
alter table events
    drop column search_text,
    add column search_text tsvector generated always as (
        setweight(to_tsvector('simple', search_words(title)), 'A')
        || setweight(to_tsvector('simple', search_words(venue)), 'B')
        || setweight(to_tsvector('simple', search_words(description)), 'C')
    ) stored,
    drop column if exists has_tickets,
    add column has_tickets boolean not null generated always as (
        booked + offered < capacity and (
            not waitlist_enabled or waiting = '{0,0,0,0,0,0,0,0,0,0}'
            or available_tickets(capacity, booked, offered, waitlist_enabled, waiting) > 0
        )
    ) stored,
    drop column if exists archived,
    add column archived boolean not null default false;

-- Without it every category counts as rare.
create statistics if not exists events_category_stats on lower(category) from events;
"""

# A search reads what was inserted last one by one until it has been sorted in; 256 kB of that take a millisecond.
_GIN = "using gin (search_text) with (gin_pending_list_limit = 256)"
INDEXES = {
    "events_search_idx": f"{_GIN} where deleted_at is null",
    "events_search_coming_idx": f"{_GIN} where deleted_at is null and not archived",
    "events_coming_idx": "(starts_at, id) where deleted_at is null and not archived",
    "events_coming_created_idx": "(created_at, id) where deleted_at is null and not archived",
    "events_coming_title_idx": "(title, id) where deleted_at is null and not archived",
    "events_coming_price_idx": "(price_minor, id) where deleted_at is null and not archived",
    "events_coming_popular_idx": "(impressions, id) where deleted_at is null and not archived",
    "events_category_idx": "(lower(category), archived, starts_at, id) where deleted_at is null",
    "events_available_idx": "(starts_at, id)"
    " where deleted_at is null and not archived and status = 'scheduled' and has_tickets",
    "events_status_idx": "(status, starts_at, id) where deleted_at is null and status <> 'scheduled'",
    "events_archive_idx": "(archived, ends_at)",
}

DOWNGRADE = """
alter table events
    drop column search_text,
    drop column has_tickets,
    drop column archived,
    add column search_text tsvector generated always as (
        to_tsvector('simple', title || ' ' || description || ' ' || venue)
    ) stored;
create index events_search_idx on events using gin (search_text);
drop index events_status_idx;
drop statistics events_category_stats;
drop function search_prefix, search_words;
"""


def upgrade() -> None:
    """Makes the columns, then the indexes without stopping anybody; the schedule archives what is over."""
    op.execute(UPGRADE)
    with op.get_context().autocommit_block():
        for name, what in INDEXES.items():
            op.execute(f"drop index concurrently if exists {name}")
            op.execute(f"create index concurrently {name} on events {what}")


def downgrade() -> None:
    """Goes back to the plain search."""
    op.execute(DOWNGRADE)
