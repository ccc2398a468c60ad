"""Settings of a command: the environment, completed by what `guichet up` runs on the data folder."""

import os
from dataclasses import replace

import click

from scripts.data_folder import find_run_file, find_secret
from shared.settings import Settings, SettingsError, load_settings, variable_name


def load_command_settings(needs: tuple[str, ...] = ("database_url", "redis_url")) -> Settings:
    """Settings of a command that needs the servers.

    Addresses that the environment does not name are those of the `guichet up` that runs on the data folder.
    Raises click.ClickException when there is neither.
    """
    settings = complete_settings(read_settings())
    for field in needs:
        if not getattr(settings, field):
            raise click.ClickException(
                f"{variable_name(field)} is not set and no `guichet up` runs on {settings.data_dir}"
            )
    return settings


def read_settings() -> Settings:
    """Settings from the environment alone; a wrong value ends the command with its message."""
    try:
        return load_settings(os.environ)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


def complete_settings(settings: Settings) -> Settings:
    """Fills in addresses and the development secret from the data folder, where it knows them."""
    run = find_run_file(settings.data_dir) or {}
    return replace(
        settings,
        database_url=settings.database_url or sqlalchemy_url(run.get("database_url", "")),
        redis_url=settings.redis_url or run.get("redis_url", ""),
        secret_key=settings.secret_key or find_secret(settings.data_dir),
    )


def sqlalchemy_url(url: str) -> str:
    """The form of an address that SQLAlchemy wants, from libpq's."""
    return load_settings({"DATABASE_URL": url}).database_url


def libpq_url(url: str) -> str:
    """The form of an address that psql, psycopg2 and everybody else want, from SQLAlchemy's."""
    return url.replace("postgresql+psycopg2://", "postgresql://", 1)
