"""A database with roles, attacked table by table."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from scripts.embedded.postgres import EmbeddedPostgres
from tests.database_roles import RoleDatabase, role_database
from tests.factories import make_event


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres) -> Iterator[RoleDatabase]:
    with role_database(postgres) as database:
        make_event(database.superuser)
        yield database


@pytest.fixture
def sqlstate(database: RoleDatabase) -> Callable[..., str | None]:
    """What PostgreSQL says to a statement, which is rolled back; None when it would do it."""

    def run(engine: Engine, statement: str) -> str | None:
        alone = "AUTOCOMMIT" if statement.startswith("alter system") else "READ COMMITTED"
        with engine.connect().execution_options(isolation_level=alone) as connection:
            try:
                connection.execution_options(no_parameters=True).exec_driver_sql(statement)
            except DBAPIError as error:
                return getattr(error.orig, "pgcode", "lost")
            finally:
                connection.rollback()
        return None

    return run
