"""The migrations and the models say the same, and the code knows which migration it needs."""

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

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
