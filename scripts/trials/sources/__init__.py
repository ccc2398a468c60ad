"""What the checker reads beside the clients' history: PostgreSQL's tables and Redis' keys, as they lie there."""
