"""Times SQLAlchemy's statements, by what they do and to which table."""

import re
import time
from typing import Any, Final

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

from shared.metrics.families import DB_QUERIES, OTHER, Labels

OPERATIONS: Final = frozenset({"select", "insert", "update", "delete"})

# Tables that statements are told apart by; what is none of these is "other".
TABLES: Final = frozenset(
    {
        "activity_days", "alembic_version", "analytics_state", "audit_log", "bookings", "control_requests",
        "day_revenue", "day_totals", "decisions", "drain_marks", "event_day_revenue", "event_days",
        "event_months", "event_totals", "events", "follows", "idempotency_keys", "interests", "ledger_audits",
        "line_state", "login_failures", "notifications", "offers", "organization_members", "organizations", "outbox",
        "pg_locks", "refresh_tokens", "revoked_tokens", "start_days", "user_days", "users", "waitlist_entries",
    }
)  # fmt: skip

# Lists of values make statements of every length; beyond this many texts the oldest is forgotten.
_TEXTS_MAX: Final = 2_000

_VERB: Final = re.compile(r"\s*(\w+)")
_TABLE: Final = re.compile(r"\b(?:from|into|update|join)\s+(?:only\s+)?\"?(\w+)", re.IGNORECASE)
_STARTED: Final = "guichet_started_at"

_known: dict[str, Labels] = {}


def statement_labels(statement: str) -> Labels:
    """(operation, table): the first verb, and the first table of ours that is named."""
    labels = _known.get(statement)
    if labels is None:
        if len(_known) >= _TEXTS_MAX:
            _known.pop(next(iter(_known)), None)
        labels = _known[statement] = _parse(statement)
    return labels


def measure_statements(engine: Engine) -> None:
    """Observes every statement of the engine, those that fail too."""
    event.listen(engine, "before_cursor_execute", _begin)
    event.listen(engine, "after_cursor_execute", _end)
    event.listen(engine, "handle_error", _fail)


def _parse(statement: str) -> Labels:
    verb = _VERB.match(statement)
    operation = verb[1].lower() if verb is not None else OTHER
    table = next((name for name in map(str.lower, _TABLE.findall(statement)) if name in TABLES), OTHER)
    return operation if operation in OPERATIONS else OTHER, table


# SQLAlchemy's signatures.


def _begin(_connection: Any, _cursor: Any, _statement: str, _values: Any, context: Any, _many: bool) -> None:  # noqa: ANN401, FBT001
    setattr(context, _STARTED, time.perf_counter())


def _end(_connection: Any, _cursor: Any, statement: str, _values: Any, context: Any, _many: bool) -> None:  # noqa: ANN401, FBT001
    _observe(statement, getattr(context, _STARTED, None))


def _fail(context: ExceptionContext) -> None:
    if context.statement is not None:
        _observe(context.statement, getattr(context.execution_context, _STARTED, None))


def _observe(statement: str, started_at: float | None) -> None:
    if started_at is not None:
        DB_QUERIES.observe(statement_labels(statement), time.perf_counter() - started_at)
