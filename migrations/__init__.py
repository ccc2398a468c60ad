"""Database migrations (Alembic). `guichet migrate` runs them."""
