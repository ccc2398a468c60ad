"""Background tasks: functions that jobs on the queue `tasks` name. Each is safe to run twice."""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, cast

from sqlalchemy import CursorResult, Engine, delete, func
from sqlalchemy.orm import Session

from shared.db import make_engine, transaction
from shared.models import IdempotencyKey, LoginFailure, RefreshToken, RevokedToken
from shared.services.analytics_check import Recount, check_yesterday, rebuild
from shared.services.ledger_audit import audit_ledgers as run_audit
from shared.settings import load_settings
from shared.store.closed_accounts import forget_closed
from shared.store.interests import prune_interests
from shared.store.ledger_audits import is_tonight_audited
from shared.store.notifications import prune_notifications

# Of tables that grow with what happens: rows that one transaction deletes.
_SLICE: Final = 10_000

# Rows that nothing can ask for any more: the column that ages, and how old it may get.
_PRUNE: Final = (
    (RefreshToken, RefreshToken.expires_at, timedelta(days=1)),
    (RevokedToken, RevokedToken.expires_at, timedelta(days=1)),
    (LoginFailure, LoginFailure.failed_at, timedelta(days=1)),
    (IdempotencyKey, IdempotencyKey.created_at, timedelta(days=2)),  # promised for 24 hours
)


def prune() -> dict[str, int]:
    """Deletes rows that have run out; returns how many, by table. Never touches the ledger."""
    settings = load_settings(os.environ)
    engine = make_engine(settings.database_url, pool_size=1)
    pruned = {}
    try:
        with transaction(engine) as session:
            for table, column, age in _PRUNE:
                result = session.execute(delete(table).where(column < func.now() - age))
                pruned[table.__tablename__] = cast("CursorResult[Any]", result).rowcount
        days = settings.notifications_kept_days
        pruned["interests"] = _in_slices(engine, prune_interests)
        pruned["notifications"] = _in_slices(
            engine, lambda s, limit: prune_notifications(s, days=days, limit=limit)
        )
        pruned["closed_accounts"] = _in_slices(engine, lambda s, limit: forget_closed(s, limit=limit))
    finally:
        engine.dispose()
    return pruned


def audit_ledgers() -> dict[str, Any] | None:
    """Checks every ledger against the tables; returns what it found, None when tonight's check is done or running.
    Minutes, on a large installation: 20 µs a ledger row.
    """
    engine = make_engine(load_settings(os.environ).database_url, pool_size=2)
    try:
        with transaction(engine) as session:
            done = is_tonight_audited(session)
        run = None if done else run_audit(engine)
    finally:
        engine.dispose()
    return None if run is None else {"night": run.night.isoformat(), "rows": run.rows, "failed": run.failed}


def check_analytics() -> dict[str, Any]:
    """Recounts yesterday from the ledgers; returns what was looked at and mended."""
    return _recount(check_yesterday)


def rebuild_analytics() -> dict[str, Any]:
    """Recounts everything from the ledgers; returns what was looked at and mended."""
    return _recount(rebuild)


def _recount(recount: Callable[[Engine], Recount]) -> dict[str, Any]:
    engine = make_engine(load_settings(os.environ).database_url, pool_size=1)
    try:
        return recount(engine).document()
    finally:
        engine.dispose()


def _in_slices(engine: Engine, delete_some: Callable[[Session, int], int]) -> int:
    """Calls it in a transaction each until it finds less than a slice; returns how many went."""
    total = 0
    while True:
        with transaction(engine) as session:
            deleted = delete_some(session, _SLICE)
        total += deleted
        if deleted < _SLICE:
            return total
