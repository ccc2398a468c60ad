"""The ways round its rights that the application's database role does not find."""

from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from scripts.database_roles import apply_grants
from tests.database_roles import INSUFFICIENT_PRIVILEGE, RoleDatabase

# Nor these, which would be ways round.
WAYS_ROUND = [
    "create table planted (id int)",
    "create temporary table decisions (id int)",
    "create view planted as select 1",
    "create materialized view planted as select 1",
    "create sequence planted",
    "create function planted() returns int language sql as 'select 1'",
    "create type planted as (id int)",
    "create schema planted",
    "drop extension plpgsql",
    "create or replace function refuse_ledger_change() returns trigger language plpgsql as 'begin return old; end'",
    "drop function refuse_ledger_change() cascade",
    "alter function refuse_ledger_change() rename to planted",
    "drop trigger decisions_append_only on decisions",
    "drop trigger decisions_no_truncate on decisions",
    "alter table decisions disable trigger decisions_append_only",
    "alter trigger decisions_append_only on decisions rename to planted",
    "set session_replication_role = replica",
    "set local session_replication_role = replica",
    "select set_config('session_replication_role', 'replica', false)",
    "set role guichet_owner",
    "set session authorization postgres",
    "alter role guichet_app superuser",
    "alter role guichet_owner password 'planted'",
    "alter role guichet_app set session_replication_role = replica",
    "create role planted",
    "drop role guichet_reader",
    "grant guichet_owner to guichet_app",
    "alter database {database} owner to guichet_app",
    "alter schema public owner to guichet_app",
    "drop schema public cascade",
    "alter system set fsync = off",
    "alter sequence claim_token_seq owned by none",
    "drop sequence booking_reference_seq",
    "copy decisions to program 'true'",
    "copy users to '/tmp/planted'",
    "copy decisions from program 'true'",
    "select pg_read_file('/etc/hostname')",
    "select pg_ls_dir('.')",
    "select pg_reload_conf()",
    "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'postgres'",
    "select rolpassword from pg_authid",
    "drop owned by guichet_owner",
    "reassign owned by guichet_owner to guichet_app",
]  # fmt: skip


class TestTheApplication:
    @pytest.mark.parametrize("statement", WAYS_ROUND)
    def test_finds_no_way_round(
        self, database: RoleDatabase, sqlstate: Callable[..., str | None], statement: str
    ) -> None:
        name = database.superuser.url.database
        with database.superuser.connect():  # somebody to end
            found = sqlstate(database.application, statement.format(database=name))
        assert found == INSUFFICIENT_PRIVILEGE

    def test_gives_nothing_to_others(self, database: RoleDatabase) -> None:
        """PostgreSQL only warns of it: nothing must have come of it."""
        acl = text("select relacl::text from pg_class where relname = 'users'")
        with database.superuser.connect() as connection:
            before = connection.scalar(acl)
        with database.application.connect() as connection:
            connection.execute(text("grant select on users to public"))
            connection.commit()
        with database.superuser.connect() as connection:
            assert connection.scalar(acl) == before

    def test_cannot_change_the_ledger_even_if_it_were_let(self, database: RoleDatabase) -> None:
        """Two locks: whoever grants the statement by mistake still meets the trigger."""
        with database.superuser.begin() as connection:
            connection.execute(text("grant update, delete on decisions to guichet_app"))
        try:
            for statement in ("update decisions set kind = 'x'", "delete from decisions"):
                with (
                    pytest.raises(DBAPIError, match="append-only"),
                    database.application.begin() as connection,
                ):
                    connection.execute(text(statement))
        finally:
            with database.owner.begin() as connection:
                apply_grants(connection)
