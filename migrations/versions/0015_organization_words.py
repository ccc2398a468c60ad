"""Organizations are found as users and events are: by words that `search_words` makes.

Revision ID: 0015
Revises: 0014
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

UPGRADE = """
alter table organizations drop column if exists search_words;  -- where this release was run before it was one
-- The body is parsed here: an index is built without a search path that could find the function in it.
create function organization_words(name text) returns tsvector
language sql immutable parallel safe
return array_to_tsvector(array_remove(string_to_array(search_words(name), ' '), ''));
create index organizations_words_idx on organizations using gin (organization_words(name)) where deleted_at is null;
"""

DOWNGRADE = """
drop index organizations_words_idx;
drop function organization_words;
"""


def upgrade() -> None:
    """Makes the words and their index; batches do not touch the table."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drops them."""
    op.execute(DOWNGRADE)
