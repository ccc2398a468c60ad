"""Brings a database to the newest schema."""

from pathlib import Path

import click
from alembic import command as alembic
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.exc import ProgrammingError

from scripts.database_roles import apply_grants
from scripts.environment import load_command_settings

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
_INSUFFICIENT_PRIVILEGE = "42501"

# Two processes that start at once must not migrate at once.
_MIGRATION_LOCK = 4_702_001


def migrate(database_url: str, *, partitions: int) -> None:
    """Runs every missing migration in one session, and none when there is none; then says anew what the roles of
    `deploy/roles.sql` may do, where they exist.

    A migration that waits for a lock gives up after 4 s instead of making everybody behind it wait.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["partitions"] = partitions
    engine = create_engine(database_url, hide_parameters=True)
    try:
        with engine.connect() as connection:
            connection.execute(text("select pg_advisory_lock(:key)"), {"key": _MIGRATION_LOCK})
            connection.execute(text("set lock_timeout = '4s'"))
            connection.commit()
            config.attributes["connection"] = connection
            alembic.upgrade(config, "head")
            connection.commit()
            apply_grants(connection)
            connection.commit()
    finally:
        engine.dispose()


@click.command()
def command() -> None:
    """Brings the database to the newest schema, as the role that owns it; does nothing when it is there.

    In production it refuses a database that holds the demo.
    """
    from scripts.seed import DemoRefusedError, refuse_demo

    settings = load_command_settings(needs=("database_url",))
    try:
        migrate(settings.database_url, partitions=settings.partitions)
    except ProgrammingError as error:
        if getattr(error.orig, "pgcode", None) != _INSUFFICIENT_PRIVILEGE:
            raise
        raise click.ClickException(
            "this role may not change tables: run it as the owner, guichet_owner where deploy/roles.sql made the roles"
        ) from None
    try:
        refuse_demo(settings)
    except DemoRefusedError as error:
        raise click.ClickException(str(error)) from None
    click.echo("The database is at the newest schema.")
