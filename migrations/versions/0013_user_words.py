"""Users are found as events are: without accents, by words that `search_words` makes.

Revision ID: 0013
Revises: 0012
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# In one transaction: registering waits for half a minute where there are a million users, and nothing is left half done.
UPGRADE = """
drop index users_words_idx;
-- The body is parsed here: an index is built without a search path that could find the function in it.
create or replace function user_words(name text, email text) returns tsvector
language sql immutable parallel safe
return array_to_tsvector(array_remove(string_to_array(search_words(name || ' ' || email), ' '), ''));
create index users_words_idx on users using gin (user_words(name, email)) with (fastupdate = off)
    where deleted_at is null;
"""

DOWNGRADE = r"""
drop index users_words_idx;
create or replace function user_words(name text, email text) returns tsvector
language sql immutable parallel safe as $$
    select array_to_tsvector(array_remove(regexp_split_to_array(
        lower(name || ' ' || email), '[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u007f]+'
    ), ''))
$$;
create index users_words_idx on users using gin (user_words(name, email)) with (fastupdate = off)
    where deleted_at is null;
"""


def upgrade() -> None:
    """Makes the index anew."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Goes back to words with their accents."""
    op.execute(DOWNGRADE)
