"""Brings a database to the newest schema."""

from pathlib import Path

import click
from alembic import command as alembic
from alembic.config import Config
from sqlalchemy import create_engine, text

from scripts.environment import load_command_settings

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"

# Two processes that start at once must not migrate at once.
_MIGRATION_LOCK = 4_702_001


def migrate(database_url: str, *, partitions: int) -> None:
    """Runs every missing migration in one session; does nothing when there is none.

    A migration that waits for a lock gives up after 4 s instead of making everybody behind it wait.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["partitions"] = partitions
    engine = create_engine(database_url)
    try:
        with engine.connect() as connection:
            connection.execute(text("select pg_advisory_lock(:key)"), {"key": _MIGRATION_LOCK})
            connection.execute(text("set lock_timeout = '4s'"))
            connection.commit()
            config.attributes["connection"] = connection
            alembic.upgrade(config, "head")
            connection.commit()
    finally:
        engine.dispose()


@click.command()
def command() -> None:
    """Brings the database to the newest schema; does nothing when it is there.

    In production it refuses a database that holds the demo.
    """
    from scripts.seed import DemoRefusedError, refuse_demo

    settings = load_command_settings(needs=("database_url",))
    migrate(settings.database_url, partitions=settings.partitions)
    try:
        refuse_demo(settings)
    except DemoRefusedError as error:
        raise click.ClickException(str(error)) from None
    click.echo("The database is at the newest schema.")
