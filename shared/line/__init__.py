"""The line in Redis: every key, every script, every call. What lies there has the shape of RQ's jobs."""
