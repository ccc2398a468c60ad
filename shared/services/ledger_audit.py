"""The nightly check: every ledger replayed and compared with the tables, in the background."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import Engine, text

from shared.db import transaction
from shared.services.audit import Tally, audit_tables, snapshot_transaction
from shared.store.ledger_audits import begin_audit, end_audit

log = logging.getLogger(__name__)

# Findings that the log names; all are counted, and `guichet audit` shows what was expected and what was found.
LOGGED_MAX: Final = 20

_LOCK: Final = 4_702_002  # beside 4702001 of the migrations


@dataclass(frozen=True, slots=True)
class AuditRun:
    """A check that came to its end."""

    night: date
    rows: int
    failed: dict[str, int]


def audit_ledgers(engine: Engine) -> AuditRun | None:
    """Checks all ledgers against the tables; None, doing nothing, while another one does.

    Needs two connections of the pool. Memory of one event's bookings; 20 µs a ledger row. It takes no lock that
    anybody waits for, and its snapshot keeps VACUUM from what died since it began. Cut off, it has found nothing and
    may begin again.
    """
    with _only_one(engine) as alone:
        if not alone:
            return None
        with transaction(engine) as session:
            night = begin_audit(session)
        tally = Tally()
        with snapshot_transaction(engine) as session:
            audit_tables(session, tally)
        run = AuditRun(night, tally.examined["rules"], dict(tally.failed))
        with transaction(engine) as session:
            end_audit(session, night, rows=run.rows, failed=run.failed)
    _say(run, tally)
    return run


@contextmanager
def _only_one(engine: Engine) -> Iterator[bool]:
    """Whether this is the only check that runs, for the length of the block. The lock ends with its session."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        alone = bool(connection.scalar(text("select pg_try_advisory_lock(:key)"), {"key": _LOCK}))
        try:
            yield alone
        finally:
            connection.invalidate()  # ends the session: the pool would keep it, and the lock


def _say(run: AuditRun, tally: Tally) -> None:
    summary = {"night": run.night.isoformat(), "rows": run.rows, "failed": run.failed}
    if not run.failed:
        log.info("ledger audit: every promise holds", extra=summary)
        return
    log.error("ledger audit: promises do not hold", extra=summary)
    for finding in tally.findings[:LOGGED_MAX]:
        place = {"check": finding.check, "event_id": finding.event_id, "number": finding.number}
        log.error("ledger audit", extra={**place, "what": finding.what})
