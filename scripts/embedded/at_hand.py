"""Servers for a command that also works while nothing runs: those at hand, else the data folder's, for its time."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from scripts.data_folder import DataFolderError, lock_data_folder
from scripts.embedded.common import EmbeddedServerError
from scripts.embedded.servers import Servers
from scripts.environment import complete_settings
from shared.settings import Settings, variable_name


def has_servers(folder: Path) -> bool:
    """Whether `guichet up` ever made servers of its own there."""
    return (folder / "postgres" / "PG_VERSION").exists() or (folder / "redis" / "redis.conf").exists()


@contextmanager
def servers_at_hand(settings: Settings) -> Iterator[Settings]:
    """Settings with the addresses of both servers: from the environment, from the `guichet up` that runs on the
    data folder; when none runs there, its embedded servers are started, and stopped with the block.

    Raises click.ClickException when there is neither.
    """
    folder = settings.data_dir.absolute()
    with ExitStack() as stack:
        named = settings.database_url and settings.redis_url
        if not named and has_servers(folder):
            settings = _start(settings, folder, stack)
        settings = complete_settings(settings)
        for name in ("database_url", "redis_url"):
            if not getattr(settings, name):
                raise click.ClickException(f"{variable_name(name)} is not set and nothing lies in {folder}")
        yield settings


def _start(settings: Settings, folder: Path, stack: ExitStack) -> Settings:
    try:
        lock = lock_data_folder(folder)
    except DataFolderError:
        return settings  # `guichet up` runs there: it says where
    stack.callback(os.close, lock)
    servers = Servers(settings, folder)
    stack.callback(servers.stop)
    try:
        return servers.start(settings)
    except EmbeddedServerError as error:
        raise click.ClickException(str(error)) from None
