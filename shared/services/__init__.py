"""Use cases, one file a noun. They take the caller's session and never commit."""
