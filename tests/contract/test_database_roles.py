"""What each database role may do with each table: attacked, table by table, so that a new one needs a line here too."""

import re
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from scripts.cli import main
from scripts.database_roles import APPLICATION, OWNER, ROLES, apply_grants, make_roles
from scripts.embedded.common import server_environment
from scripts.embedded.initdb import programs
from scripts.embedded.postgres import EmbeddedPostgres
from scripts.environment import libpq_url
from scripts.migrate import migrate
from shared.db import SCHEMA_VERSION, transaction
from shared.models import Base
from shared.services.audit import Tally, audit_tables, snapshot_transaction
from shared.services.production import role_warnings
from tests.conftest import PARTITIONS
from tests.database_roles import INSUFFICIENT_PRIVILEGE, RoleDatabase, role_database
from tests.factories import make_event

TABLES = sorted({*Base.metadata.tables, "alembic_version"})
VERBS = ("select", "insert", "update", "delete", "truncate")

# Table by table, what the application may do besides reading. Columns: only those.
ADDED_TO = {"insert"}
ANYTHING = {"insert", "update", "delete"}
MAY: dict[str, set[str]] = {
    "decisions": ADDED_TO,
    "audit_log": ADDED_TO,
    "alembic_version": set(),
    "line_state": {"update"},
    "analytics_state": {"update walked_to history_counted registrations_to"},
    "users": {"insert", "update name email password_hash role updated_at deleted_at"},
    "refresh_tokens": {"insert", "delete", "update used_at"},
    "revoked_tokens": {"insert", "delete", "update revoked_at expires_at"},
    "login_failures": {"insert", "delete"},
    "idempotency_keys": {"insert", "delete", "update status headers body"},
    "events": {
        "insert",
        (
            "update host_id organization_id title description venue category code time_zone starts_at ends_at sales_open_at"
            " sales_close_at sales_paused sales_announced_at price_minor currency capacity booked offered max_per_booking"
            " waitlist_enabled waiting status impressions version last_number last_hash last_arrival arrivals_reissued"
            " drained_up_to drained_until drain_reason last_decided_at updated_at deleted_at archived"
        ),
    },
    "bookings": {"insert", "update status cancelled_at"},
    "waitlist_entries": {"insert", "update status ended_at"},
    "offers": {"insert", "update status ended_at"},
    "organizations": {
        "insert",
        "update name logo_url website_url background_url updated_at deleted_at",
    },
    "organization_members": {"insert", "delete", "update role"},
    "interests": {"insert", "delete", "update created_at"},
    "follows": {"insert", "delete", "update created_at"},
    "notifications": {"insert", "delete", "update read_at"},
    "outbox": {"insert", "delete", "update set_aside_at error"},
    "control_requests": {"insert", "update queued_at decided_at"},
    "event_totals": {"insert", "update"},
    "event_days": {"insert", "update"},
    "event_day_revenue": {"insert", "update"},
    "day_totals": {"insert", "update"},
    "event_months": ANYTHING,
    "day_revenue": ANYTHING,
    "start_days": ANYTHING,
    "user_days": ANYTHING,
    "activity_days": ANYTHING,
    "ledger_audits": {"insert", "update started_at ended_at ledger_rows findings failed"},
}
# What whoever only looks sees of tables that it does not see whole; of others nothing, or everything.
SEEN_IN_PART = {
    "users": {"id", "role", "created_at", "updated_at", "deleted_at"},
    "line_state": {
        *(
            "id",
            "installation_id",
            "partitions",
            "paused",
            "pause_reason",
            "paused_by",
            "paused_at",
            "resume_at",
        )
    },
}
UNSEEN = {"refresh_tokens", "revoked_tokens", "login_failures", "idempotency_keys", "notifications"}

# None of these is for the application, whatever the table.
CHANGES_OF_A_TABLE = [
    "truncate {table}",
    "drop table {table}",
    "alter table {table} add column planted text",
    "alter table {table} disable trigger all",
    "alter table {table} disable row level security",
    "alter table {table} owner to guichet_app",
    "alter table {table} rename to renamed",
    "create index planted on {table} ((1))",
    "create trigger planted before insert on {table} for each row execute function refuse_ledger_change()",
    "create rule planted as on delete to {table} do instead nothing",
    "create policy planted on {table}",
    "comment on table {table} is 'planted'",
]
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
# Sequences from which the application does not lift ids, and what it may not do with others.
ON_SEQUENCES = ["select setval('{name}', 1)", "select nextval('{name}')"]
LIFTED = {"claim_token_seq", "booking_reference_seq", "events_id_seq", "users_id_seq"}


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


def columns_of(database: RoleDatabase, table: str, *, writable: bool = False) -> list[str]:
    query = "select attname from pg_attribute where attrelid = cast(:table as regclass) and attnum > 0 and not attisdropped"
    if writable:
        query += " and attgenerated = '' and attidentity = ''"
    with database.superuser.connect() as connection:
        return list(connection.execute(text(query), {"table": table}).scalars())


def may(table: str, verb: str) -> bool:
    return verb == "select" or verb in MAY[table]


def columns_changed(table: str) -> set[str] | None:
    """The columns that the application may change; None for all of them."""
    if "update" in MAY[table]:
        return None
    return {name for entry in MAY[table] if entry.startswith("update ") for name in entry.split()[1:]}


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
