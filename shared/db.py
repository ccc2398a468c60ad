"""PostgreSQL for everything but the worker's hot path: one engine a process, one transaction a use case."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from shared.metrics.statements import measure_statements

# Entrypoints name the session's type from here: SQLAlchemy itself stays behind this room's door.
__all__ = [
    "DATABASE_AWAY",
    "SCHEMA_VERSION",
    "Engine",
    "Session",
    "find_schema_version",
    "make_engine",
    "single_statement",
    "transaction",
    "waiting",
]

# What an outage looks like from here, a pool without a free connection included: asking again may succeed.
# InternalError is how psycopg2 tells a read-only server and a transaction that was ended for being idle.
DATABASE_AWAY = (OperationalError, InterfaceError, InternalError, PoolTimeoutError)

# Just above a statement's own time-out, which a server that is alive keeps. Who asks for longer says so: `waiting`.
SILENT_SERVER_SECONDS = 11.0
_longest_wait: ContextVar[float | None] = ContextVar("longest_wait", default=None)

# The newest migration this code needs; a contract test compares it with migrations/versions.
SCHEMA_VERSION = "0017"

# Server-side limits of a control-plane transaction. Client-side alarms could fire inside COMMIT. Compiling a query
# takes longer than any of ours runs.
_SESSION_OPTIONS = (
    "-c timezone=UTC -c jit=off"
    " -c statement_timeout=10s -c lock_timeout=5s -c idle_in_transaction_session_timeout=10s"
)


def make_engine(database_url: str, *, pool_size: int = 8) -> Engine:
    """An engine whose pool waits at most 5 s for a connection and checks it before use.

    A dead peer is noticed after 5 s without an acknowledgement (`tcp_user_timeout`), never after the kernel's
    15 minutes.
    """
    engine = create_engine(
        database_url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=True,
        hide_parameters=True,  # an error is logged with its statement: without the addresses and hashes in it
        connect_args={
            "connect_timeout": 3,
            "tcp_user_timeout": 5000,
            "keepalives_idle": 5,
            "application_name": "guichet",
            "options": _SESSION_OPTIONS,
        },
    )
    measure_statements(engine)
    return engine


def wait_with_greenlets() -> None:
    """Lets psycopg2 wait with the greenlet instead of with the whole process, and never for ever.

    libpq's own time-outs do not count while it is not libpq that waits: a stopped server would keep every
    connection of the pool. The bound is above the server's own statement time-out.
    """
    import psycopg2.extensions  # noqa: PLC0415 - only gevent's processes
    from psycogreen.gevent import gevent_wait_callback  # noqa: PLC0415

    def wait(connection: psycopg2.extensions.connection) -> None:
        try:
            gevent_wait_callback(connection, timeout=_longest_wait.get() or SILENT_SERVER_SECONDS)
        except TimeoutError as error:
            raise psycopg2.OperationalError("the server has fallen silent") from error

    psycopg2.extensions.set_wait_callback(wait)


@contextmanager
def waiting(seconds: float) -> Iterator[None]:
    """Lets the block's statements take this long before a server counts as silent; the statement and lock
    time-outs are the transaction's own business.
    """
    token = _longest_wait.set(seconds)
    try:
        yield
    finally:
        _longest_wait.reset(token)


@contextmanager
def transaction(engine: Engine) -> Iterator[Session]:
    """One transaction on one connection: commits at the end of the block, rolls back on any exception.

    Only entrypoints (a route, a task, a command) open one; services take the session and never commit.
    """
    with Session(engine, expire_on_commit=False) as session, session.begin():
        yield session


@contextmanager
def single_statement(engine: Engine) -> Iterator[Connection]:
    """A connection for one statement that reads: in no transaction of ours, which would cost a round trip more for its
    end, and without the session's bookkeeping; a fifth of the CPU of `transaction`.
    """
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        yield connection


def find_schema_version(session: Session) -> str | None:
    """The migration the database stands at; None when it was never migrated. One round trip."""
    exists = session.scalar(text("select to_regclass('alembic_version') is not null"))
    return session.scalar(text("select version_num from alembic_version")) if exists else None
