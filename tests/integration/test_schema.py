"""The migrations and the models say the same, and the code knows which migration it needs."""

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from scripts.migrate import MIGRATIONS, migrate
from shared.db import SCHEMA_VERSION, find_schema_version, make_engine, transaction
from shared.models import Base
from tests.conftest import PARTITIONS
from tests.factories import make_event


def test_the_code_needs_the_newest_migration():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == SCHEMA_VERSION


def test_models_and_migrations_agree(engine):
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, Base.metadata)
    # Indexes that only queries care about are the migration's business; tables, columns and unique rules are not.
    assert [d for d in differences if not (isinstance(d, tuple) and d[0] == "remove_index")] == []


def test_migrating_again_changes_nothing(settings, engine):
    with transaction(engine) as session:
        before = session.execute(text("select installation_id, reference_key from line_state")).all()
    migrate(settings.database_url, partitions=PARTITIONS + 1)
    with transaction(engine) as session:
        assert session.execute(text("select installation_id, reference_key from line_state")).all() == before
        assert find_schema_version(session) == SCHEMA_VERSION


# What there is beside the rows: columns, indexes, rules, functions, triggers. Validated or not is all the same.
_SHAPE = """
select attrelid::regclass || '.' || attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attnotnull
        || coalesce(' ' || pg_get_expr(adbin, adrelid), '')
    from pg_attribute join pg_class c on c.oid = attrelid left join pg_attrdef on adrelid = attrelid and adnum = attnum
    where relnamespace = 'public'::regnamespace and relkind = 'r' and attnum > 0 and not attisdropped
union all select indexdef from pg_indexes where schemaname = 'public'
union all select conrelid::regclass || ' ' || conname || ' ' || replace(pg_get_constraintdef(oid), ' NOT VALID', '')
    from pg_constraint where connamespace = 'public'::regnamespace and contype <> 'n'
union all select pg_get_functiondef(oid) from pg_proc where pronamespace = 'public'::regnamespace
union all select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
union all select 'sequence ' || sequencename from pg_sequences where schemaname = 'public'
union all select 'statistics ' || stxname from pg_statistic_ext
"""


class TestDowngrading:
    def test_takes_back_one_migration_after_the_other(self, settings):
        """Each step down leaves what stood there on the way up, the last one nothing, and up it goes again."""
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["partitions"] = PARTITIONS
        script = ScriptDirectory.from_config(config)
        revisions = ["base", *(revision.revision for revision in reversed(list(script.walk_revisions())))]
        engine = make_engine(settings.database_url, pool_size=1)
        with engine.connect() as connection:
            config.attributes["connection"] = connection

            def shape() -> set[str]:
                lines = set(connection.execute(text(_SHAPE)).scalars())
                connection.commit()  # an index is built concurrently outside transactions only
                return lines

            newest = shape()
            command.downgrade(config, "base")
            shapes = {"base": shape()}
            assert {line for line in shapes["base"] if "alembic_version" not in line} == set()
            for revision in revisions[1:]:
                command.upgrade(config, revision)
                shapes[revision] = shape()
            assert shapes[revisions[-1]] == newest
            for revision in reversed(revisions[:-1]):
                command.downgrade(config, revision)
                assert shape() ^ shapes[revision] == set(), revision
        engine.dispose()


class TestLedger:
    @pytest.mark.parametrize(
        "statement", ["update decisions set kind = 'x'", "delete from decisions", "truncate decisions"]
    )
    def test_refuses_every_change(self, engine, statement):
        make_event(engine)
        with pytest.raises(DBAPIError, match="append-only"), transaction(engine) as session:
            session.execute(text(statement))
        with transaction(engine) as session:
            assert session.scalar(text("select kind from decisions")) == "event_set"

    # One row more, of an event that there is and of one that there is not.
    INSERT = """insert into decisions (job_id, event_id, number, kind, outcome, available_after, facts, accepted_at,
        decided_at, hash)
    select gen_random_uuid(), v, 2, 'x', 'done', 0, '{}', now(), now(), '' from unnest(cast(:ids as bigint[])) v"""

    def test_takes_rows_of_events_that_exist(self, engine):
        events = [make_event(engine).id for _ in range(2)]
        with transaction(engine) as session:
            session.execute(text(self.INSERT), {"ids": events})
        with transaction(engine) as session:
            assert session.scalar(text("select count(*) from decisions where number = 2")) == len(events)

    def test_refuses_a_row_of_no_event_whatever_comes_with_it(self, engine):
        event = make_event(engine).id
        with pytest.raises(IntegrityError, match="needs its event"), transaction(engine) as session:
            session.execute(text(self.INSERT), {"ids": [event, event + 1000]})

    def test_keeps_the_event_of_a_row_that_is_being_written(self, engine):
        event = make_event(engine).id
        with transaction(engine) as session:
            session.execute(text(self.INSERT), {"ids": [event]})
            with pytest.raises(OperationalError, match="lock"), transaction(engine) as other:
                other.execute(text("select from events where id = :id for update nowait"), {"id": event})

    @pytest.mark.parametrize(
        ("statement", "says"),
        [
            ("delete from events", "with a ledger stays"),
            ("update events set id = default", "with a ledger stays"),
            ("truncate events cascade", "append-only"),
        ],
    )
    def test_does_not_lose_its_event(self, engine, statement, says):
        make_event(engine)
        with pytest.raises(DBAPIError, match=says), transaction(engine) as session:
            session.execute(text(statement))
        with transaction(engine) as session:
            assert session.scalar(text("select count(*) from events join decisions on event_id = id")) == 1

    def test_lets_an_event_go_that_has_none(self, engine):
        event = make_event(engine).id
        with transaction(engine) as session:
            session.execute(text("set local session_replication_role = replica"))  # no triggers
            session.execute(text("delete from decisions; delete from outbox"))
        with transaction(engine) as session:
            session.execute(
                text("delete from event_totals; delete from events where id = :id"), {"id": event}
            )
            assert session.scalar(text("select count(*) from events")) == 0
