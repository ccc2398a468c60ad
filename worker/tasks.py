"""Background tasks: functions that jobs on the queue `tasks` name. Each is safe to run twice."""

import os

from sqlalchemy import text

from shared.db import make_engine, transaction
from shared.settings import load_settings

# table → rows that nothing can ask for any more
_PRUNE = {
    "refresh_tokens": "expires_at < now() - interval '1 day'",
    "revoked_tokens": "expires_at < now() - interval '1 day'",
    "login_failures": "failed_at < now() - interval '1 day'",
    "idempotency_keys": "created_at < now() - interval '2 days'",
}


def prune() -> dict[str, int]:
    """Deletes rows that have run out; returns how many, by table. Never touches the ledger."""
    engine = make_engine(load_settings(os.environ).database_url, pool_size=1)
    try:
        with transaction(engine) as session:
            return {
                # the statement counts its own rows; the names are the constants above
                table: session.execute(
                    text(
                        f"with gone as (delete from {table} where {condition} returning 1) select count(*) from gone"
                    )  # noqa: S608
                ).scalar_one()
                for table, condition in _PRUNE.items()
            }
    finally:
        engine.dispose()
