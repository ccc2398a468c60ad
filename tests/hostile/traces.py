"""What a request leaves behind: rows written in PostgreSQL, keys changed in Redis."""

import psycopg2
from redis import Redis

# One row for each row written; rolled back with it. Impressions are written beside the requests, once a second.
_TRIGGERS = """
create unlogged table hostile_writes (at bigint generated always as identity primary key, what text not null);
create function hostile_note() returns trigger language plpgsql as $$
begin
    if TG_TABLE_NAME = 'events' and TG_OP = 'UPDATE' then
        if to_jsonb(new) - 'impressions' = to_jsonb(old) - 'impressions' then
            return null;
        end if;
    end if;
    if TG_TABLE_NAME = 'outbox' and TG_OP = 'INSERT' then
        if new.topic = 'impressions' then
            return null;
        end if;
    end if;
    insert into hostile_writes (what) values (lower(TG_OP) || ' ' || TG_TABLE_NAME);
    return null;
end $$;
do $$
declare name text;
begin
    for name in select tablename from pg_tables where schemaname = 'public' and tablename <> 'hostile_writes' loop
        execute format('create trigger zz_hostile after insert or update or delete on %I
            for each row execute function hostile_note()', name);
    end loop;
end $$;
"""


class Traces:
    """Counts writes: a trigger on every table notes each row, Redis counts each change itself."""

    def __init__(self, database_url: str, redis: Redis) -> None:
        self._redis = redis
        self._connection = psycopg2.connect(database_url.replace("+psycopg2", ""))
        self._connection.autocommit = True
        self._cursor = self._connection.cursor()
        self._cursor.execute(_TRIGGERS)
        self._cursor.execute("set enable_seqscan = off")
        self._seen = 0
        self._changes = 0
        self.forget()

    def forget(self) -> None:
        """What was written until now is nobody's fault."""
        self._read()

    def read(self) -> list[str]:
        """What was written since the last look: such as `insert bookings`, `Redis`. Two round trips."""
        return self._read()

    def execute(self, statement: str) -> None:
        """SQL of the world's own."""
        self._cursor.execute(statement)

    def close(self) -> None:
        """Lets go; the triggers go with the database."""
        self._connection.close()

    def _read(self) -> list[str]:
        self._cursor.execute("select at, what from hostile_writes where at > %s order by at", (self._seen,))
        rows = self._cursor.fetchall()
        if rows:
            self._seen = rows[-1][0]
        changes = int(self._redis.info("persistence")["rdb_changes_since_last_save"])
        found = sorted({what for _, what in rows})
        if changes != self._changes:
            found.append("Redis")
        self._changes = changes
        return found
