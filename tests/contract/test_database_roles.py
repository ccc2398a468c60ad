"""The database roles: who migrates, what makes them, what limits they have, and who is warned of one that may do too much."""

import re
import secrets
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from scripts.cli import main
from scripts.database_roles import APPLICATION, OWNER, ROLES, apply_grants, make_roles
from scripts.embedded.common import server_environment
from scripts.embedded.initdb import programs
from scripts.embedded.postgres import EmbeddedPostgres
from scripts.environment import libpq_url
from scripts.migrate import migrate
from shared.db import SCHEMA_VERSION, transaction
from shared.services.production import role_warnings
from tests.conftest import PARTITIONS
from tests.database_roles import INSUFFICIENT_PRIVILEGE, RoleDatabase, role_database


class TestTheApplication:
    def test_has_limits_and_a_search_path_where_it_sets_none(self, database: RoleDatabase) -> None:
        from sqlalchemy import create_engine

        engine = create_engine(database.application_url)  # as psql would
        with engine.connect() as connection:
            for name, value in {
                "statement_timeout": "1min",
                "lock_timeout": "5s",
                "idle_in_transaction_session_timeout": "1min",
                "search_path": "public, pg_temp",
            }.items():
                assert connection.scalar(text(f"show {name}")) == value
        engine.dispose()


class TestTheOwner:
    def test_is_the_only_one_who_migrates(
        self, database: RoleDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GUICHET_ENV", "test")
        monkeypatch.setenv("DATABASE_URL", libpq_url(database.application_url))
        done = CliRunner().invoke(main, ["migrate"])
        assert (done.exit_code, "newest schema" in done.output) == (0, True), done.output
        with database.superuser.begin() as connection:
            connection.execute(
                text("update alembic_version set version_num = '0014'")
            )  # 0015 makes a function
        done = CliRunner().invoke(main, ["migrate"])
        assert (done.exit_code, "guichet_owner" in done.output) == (1, True), done.output
        with database.superuser.begin() as connection:
            connection.execute(text(f"update alembic_version set version_num = '{SCHEMA_VERSION}'"))

    def test_shares_nothing_new_by_itself(
        self, database: RoleDatabase, sqlstate: Callable[..., str | None]
    ) -> None:
        """A migration without a line in `grants.sql` is noticed here and in tests, not by whoever may not read it."""
        with database.owner.begin() as connection:
            connection.execute(text("create table planted (id bigint generated always as identity)"))
            connection.execute(text("create function planted_too() returns int language sql as 'select 1'"))
            apply_grants(connection)
        for statement in (
            "select * from planted",
            "insert into planted default values",
            "select planted_too()",
        ):
            for engine in (database.application, database.reader):
                writing = f"set transaction read write; {statement}"
                assert sqlstate(engine, writing) == INSUFFICIENT_PRIVILEGE, statement
        with database.owner.begin() as connection:
            connection.execute(text("drop table planted; drop function planted_too"))

    def test_takes_over_what_was_there_before_there_were_roles(self, postgres: EmbeddedPostgres) -> None:
        with role_database(postgres, roles_first=False) as older, older.superuser.connect() as connection:
            owners = text(
                "select distinct relowner::regrole::text from pg_class where relnamespace = 'public'::regnamespace"
                " union select proowner::regrole::text from pg_proc where pronamespace = 'public'::regnamespace"
                " union select stxowner::regrole::text from pg_statistic_ext"
            )
            assert connection.execute(owners).scalars().all() == ["guichet_owner"]
            with older.application.connect() as working:
                assert working.scalar(text("select count(*) from line_state")) == 1


class TestTheFiles:
    def test_may_be_run_again_and_again(self, database: RoleDatabase) -> None:
        acls = text(
            "select relname, relacl::text, relowner from pg_class where relnamespace = 'public'::regnamespace"
        )
        with database.superuser.connect() as connection:
            before = set(connection.execute(acls).all())
        make_roles(libpq_url(database.superuser_url))
        migrate(database.owner_url, partitions=PARTITIONS)
        with database.superuser.connect() as connection:
            assert set(connection.execute(acls).all()) == before

    def test_hold_no_password(self) -> None:
        for path in sorted(Path(ROLES).parent.glob("*.sql")):
            statements = re.sub(r"--.*", "", path.read_text())
            found = re.findall(r"^alter role .* password .*$", statements, re.MULTILINE)
            assert all(re.search(r"password :'\w+';$", line) for line in found), path
            assert bool(found) == (path.name == "passwords.sql"), path

    def test_are_run_by_psql_and_take_passwords_from_the_environment(self, database: RoleDatabase) -> None:
        """As docker-compose.yml runs them; the passwords stand in no argument and no output."""
        passwords = {f"GUICHET_{who}_PASSWORD": secrets.token_hex(16) for who in ("OWNER", "APP")}
        files = [
            argument for path in (ROLES, ROLES.with_name("passwords.sql")) for argument in ("-f", str(path))
        ]
        done = subprocess.run(
            [programs() / "psql", "-v", "ON_ERROR_STOP=1", *files, libpq_url(database.superuser_url)],
            env=server_environment() | passwords,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert not any(password in done.stdout + done.stderr for password in passwords.values())
        stored = text(
            "select count(*) from pg_authid where rolname in (:a, :b) and rolpassword like 'SCRAM-SHA-256%'"
        )
        with database.superuser.begin() as connection:
            assert connection.scalar(stored, {"a": OWNER, "b": APPLICATION}) == 2
            for role in (OWNER, APPLICATION):
                connection.execute(text(f"alter role {role} password null"))

    def test_leave_a_database_without_roles_as_it_is(self, postgres: EmbeddedPostgres) -> None:
        postgres.create_database("roleless")
        try:
            migrate(postgres.database_url("roleless"), partitions=PARTITIONS)
        finally:
            postgres.drop_database("roleless")


class TestTheReport:
    def test_warns_of_a_role_that_may_do_too_much(self, database: RoleDatabase) -> None:
        told = {}
        for name in ("superuser", "owner", "application", "reader"):
            with transaction(getattr(database, name)) as session:
                told[name] = role_warnings(session).get("database_role", "")
        assert "is a superuser" in told["superuser"]
        assert "owns the tables" in told["owner"]
        assert (told["application"], told["reader"]) == ("", "")

    @pytest.mark.parametrize(
        ("grant", "revoke", "power"),
        [
            ("create on schema public to", "create on schema public from", "may make tables"),
            ("update (kind) on decisions to", "update (kind) on decisions from", "may change the past"),
            ("delete on audit_log to", "delete on audit_log from", "may change the past"),
            ("guichet_owner to", "guichet_owner from", "may become their owner"),
        ],
    )
    def test_names_what_is_too_much(
        self, database: RoleDatabase, grant: str, revoke: str, power: str
    ) -> None:
        with database.superuser.begin() as connection:
            connection.execute(text(f"grant {grant} guichet_app"))
        try:
            with transaction(database.application) as session:
                assert power in role_warnings(session)["database_role"]
        finally:
            with database.superuser.begin() as connection:
                connection.execute(text(f"revoke {revoke} guichet_app"))
