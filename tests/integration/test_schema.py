"""The migrations and the models say the same, and the code knows which migration it needs."""

import pytest
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


def test_downgrading_removes_everything(settings):
    from alembic import command

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = make_engine(settings.database_url, pool_size=1)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        connection.commit()
        tables = connection.execute(
            text("select relname from pg_class where relnamespace = 'public'::regnamespace")
        )
        assert {row[0] for row in tables} <= {"alembic_version", "alembic_version_pkc"}
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
