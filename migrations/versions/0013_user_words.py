"""Users are found by the words of name and e-mail address, as events are: without accents, in any case.

Revision ID: 0013
Revises: 0012
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# Words are what `search_words` makes, without a text search parser: it would take `ada@example.org` for one word, `-7`
# for a number, and each in its own way at the end of a prefix.
#
# In one transaction: registering waits for half a minute where there are a million users, and nothing is left half done.
UPGRADE = """
-- The body is parsed here: an index is built without a search path that could find the function in it.
create function user_words(name text, email text) returns tsvector
language sql immutable parallel safe
return array_to_tsvector(array_remove(string_to_array(search_words(name || ' ' || email), ' '), ''));
-- few people register in a second, and a search should not have to read what is still pending
create index users_words_idx on users using gin (user_words(name, email)) with (fastupdate = off)
    where deleted_at is null;
"""

DOWNGRADE = """
drop index users_words_idx;
drop function user_words;
"""


def upgrade() -> None:
    """Makes the words and their index."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drops them."""
    op.execute(DOWNGRADE)
