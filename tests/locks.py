"""Who waits for whom in PostgreSQL."""

from sqlalchemy import Engine, text


def count_waiting_for_locks(engine: Engine) -> int:
    """Sessions of this database that wait for a lock."""
    with engine.connect() as connection:
        query = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        return int(connection.execute(text(query)).scalar_one())
