"""Background tasks: functions that jobs on the queue `tasks` name. Each is safe to run twice."""

import os
from datetime import timedelta
from typing import Any, Final, cast

from sqlalchemy import CursorResult, delete, func

from shared.db import make_engine, transaction
from shared.models import IdempotencyKey, LoginFailure, RefreshToken, RevokedToken
from shared.settings import load_settings

# Rows that nothing can ask for any more: the column that ages, and how old it may get.
_PRUNE: Final = (
    (RefreshToken, RefreshToken.expires_at, timedelta(days=1)),
    (RevokedToken, RevokedToken.expires_at, timedelta(days=1)),
    (LoginFailure, LoginFailure.failed_at, timedelta(days=1)),
    (IdempotencyKey, IdempotencyKey.created_at, timedelta(days=2)),  # promised for 24 hours
)


def prune() -> dict[str, int]:
    """Deletes rows that have run out; returns how many, by table. Never touches the ledger."""
    engine = make_engine(load_settings(os.environ).database_url, pool_size=1)
    pruned = {}
    try:
        with transaction(engine) as session:
            for table, column, age in _PRUNE:
                result = session.execute(delete(table).where(column < func.now() - age))
                pruned[table.__tablename__] = cast("CursorResult[Any]", result).rowcount
    finally:
        engine.dispose()
    return pruned
