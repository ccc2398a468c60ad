"""The list of users: in each order, by role, and by the words of name and e-mail address.

Revision ID: 0007
Revises: 0006
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Words as they are, without a text search parser: it would take `ada@example.org` for one word, `-7` for a number, and
# each in its own way at the end of a prefix. What is between words is ASCII that is no letter and no digit.
UPGRADE = r"""
create function user_words(name text, email text) returns tsvector language sql immutable parallel safe as $$
    select array_to_tsvector(array_remove(regexp_split_to_array(
        lower(name || ' ' || email), '[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u007f]+'
    ), ''))
$$;

-- In one transaction with the rest: registering waits for some seconds where there are a million users, and nothing is
-- left half done. `lower(email)` has its index already.
create index users_created_idx on users (created_at, id) where deleted_at is null;
create index users_name_idx on users (name, id) where deleted_at is null;
create index users_role_idx on users (role, created_at, id) where deleted_at is null;
-- few people register in a second, and a search should not have to read what is still pending
create index users_words_idx on users using gin (user_words(name, email)) with (fastupdate = off)
    where deleted_at is null;
"""

DOWNGRADE = """
drop index users_words_idx, users_role_idx, users_name_idx, users_created_idx;
drop function user_words;
"""


def upgrade() -> None:
    """Adds the indexes."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drops them."""
    op.execute(DOWNGRADE)
