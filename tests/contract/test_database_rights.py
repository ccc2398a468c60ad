"""Each database role does with each table what it needs and no more: a new table needs a line in `tests/database_rights.py`."""

from collections.abc import Callable

import pytest
from sqlalchemy import text

from shared.services.audit import Tally, audit_tables, snapshot_transaction
from tests.database_rights import (
    CHANGES_OF_A_TABLE,
    LIFTED,
    MAY,
    SEEN_IN_PART,
    TABLES,
    UNSEEN,
    columns_changed,
    columns_of,
    may,
)
from tests.database_roles import INSUFFICIENT_PRIVILEGE, RoleDatabase

# Sequences from which the application does not lift ids, and what it may not do with others.
ON_SEQUENCES = ["select setval('{name}', 1)", "select nextval('{name}')"]


def test_every_table_has_a_line() -> None:
    assert sorted(MAY) == TABLES


class TestTheApplication:
    @pytest.mark.parametrize("table", TABLES)
    def test_does_with_a_table_what_it_needs_and_no_more(
        self, database: RoleDatabase, sqlstate: Callable[..., str | None], table: str
    ) -> None:
        statements = {
            "select": f"select * from {table} limit 1",
            "insert": f"insert into {table} default values",
            "delete": f"delete from {table} where false",
            "truncate": f"truncate {table}",
        }
        for verb, statement in statements.items():
            is_refused = sqlstate(database.application, statement) == INSUFFICIENT_PRIVILEGE
            assert is_refused != may(table, verb), statement
        changed = columns_changed(table)
        for column in columns_of(database, table, writable=True):
            statement = f"update {table} set {column} = {column} where false"
            is_refused = sqlstate(database.application, statement) == INSUFFICIENT_PRIVILEGE
            assert is_refused != (changed is None or column in changed), statement

    @pytest.mark.parametrize("table", TABLES)
    def test_changes_no_table_itself(
        self, database: RoleDatabase, sqlstate: Callable[..., str | None], table: str
    ) -> None:
        for change in CHANGES_OF_A_TABLE:
            statement = change.format(table=table)
            assert sqlstate(database.application, statement) == INSUFFICIENT_PRIVILEGE, statement

    def test_lifts_only_the_sequences_that_a_repair_lifts(
        self, database: RoleDatabase, sqlstate: Callable[..., str | None]
    ) -> None:
        with database.superuser.connect() as connection:
            names = set(connection.execute(text("select sequencename from pg_sequences")).scalars())
        assert names > LIFTED
        for name in names - LIFTED:
            for statement in ON_SEQUENCES:
                assert sqlstate(database.application, statement.format(name=name)) == INSUFFICIENT_PRIVILEGE
        for name in names:
            assert sqlstate(database.application, f"select last_value from {name}") is None


class TestWhoLooks:
    @pytest.mark.parametrize("table", TABLES)
    def test_writes_nothing_and_sees_no_secret(
        self, database: RoleDatabase, sqlstate: Callable[..., str | None], table: str
    ) -> None:
        for statement in (
            f"insert into {table} default values",
            f"delete from {table}",
            f"truncate {table}",
            *CHANGES_OF_A_TABLE,
        ):
            writing = f"set transaction read write; {statement.format(table=table)}"
            assert sqlstate(database.reader, writing) == INSUFFICIENT_PRIVILEGE, statement
        seen = set() if table in UNSEEN else SEEN_IN_PART.get(table)
        for column in columns_of(database, table):
            is_refused = sqlstate(database.reader, f"select {column} from {table}") == INSUFFICIENT_PRIVILEGE
            assert is_refused == (seen is not None and column not in seen), (table, column)

    def test_may_check_every_promise(self, database: RoleDatabase) -> None:
        tally = Tally()
        with snapshot_transaction(database.reader) as session:
            audit_tables(session, tally)
        assert tally.findings == []
        assert tally.examined["rules"] == 1
