"""Everything that is stored, in a form that can be compared: what a refused call must leave as it was."""

import hashlib
from typing import Any

from redis import Redis
from sqlalchemy import Engine, text

_TABLES = """
    select quote_ident(relname) from pg_class join pg_namespace n on n.oid = relnamespace
    where relkind in ('r', 'p') and not relispartition and n.nspname = 'public' order by relname
"""
# What only counts how often somebody asks, and ends by itself.
_BUCKETS = b":rate"
# The number of the next transaction that writes, and the changes that Redis has counted.
_NEXT_WRITE = "select pg_snapshot_xmax(pg_current_snapshot())::text"


class Stored:
    """Rows and keys, read again only when something was written meanwhile."""

    def __init__(self, engine: Engine, redis: Redis) -> None:
        self._engine, self._redis = engine, redis
        self._mark: tuple[str, int] | None = None
        self._found: dict[str, str] = {}

    def read(self) -> dict[str, str]:
        """A digest of each table, and of each key."""
        with self._engine.connect() as connection:
            mark = (
                str(connection.execute(text(_NEXT_WRITE)).scalar_one()),
                int(self._redis.info("persistence")["rdb_changes_since_last_save"]),
            )
            if mark != self._mark:
                tables = connection.execute(text(_TABLES)).scalars().all()
                self._found = {table: _digest(connection, table) for table in tables} | {
                    key.decode(): hashlib.sha256(self._redis.dump(key) or b"").hexdigest()
                    for key in self._redis.scan_iter(count=1000)
                    if not key.endswith(_BUCKETS)
                }
                self._mark = mark
        return self._found


def changes(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """The tables and keys that are not the same."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _digest(connection: Any, table: str) -> str:
    rows = f"select md5(string_agg(row::text, ',' order by row::text)) from {table} row"
    return str(connection.execute(text(rows)).scalar_one())
