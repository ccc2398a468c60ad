"""`guichet restore`: embedded servers out of a backup, Redis mended from the ledger, everything audited."""

import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from sqlalchemy import create_engine, text

from scripts.audit import SHOWN_DEFAULT
from scripts.backups.directory import DUMP, SNAPSHOT, Manifest, read_manifest, sync
from scripts.backups.programs import find_postgres_program, postgres_connection, run_tool
from scripts.data_folder import DataFolderError, lock_data_folder
from scripts.embedded.common import EmbeddedServerError
from scripts.embedded.redis import APPEND_ONLY_FILE, VERSION_FILE
from scripts.embedded.servers import Servers
from scripts.environment import libpq_url, read_settings
from scripts.migrate import migrate
from scripts.repairs import repair_and_audit
from shared.db import SCHEMA_VERSION
from shared.settings import Settings

_SERVERS: Final = ("postgres", "redis")


@click.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Set aside what the data folder holds; it is not deleted.")
@click.option("--only", type=click.Choice(_SERVERS), help="Only this server; the other stays as it is.")
def command(directory: Path, *, replace: bool, only: str | None) -> None:
    """Makes the data folder's embedded servers from the backup in DIRECTORY; `guichet up` goes on from there.

    Stop `guichet up` first. Refuses a data folder that holds data unless --replace is given. Afterwards Redis is
    mended from the ledger and everything is audited; exits 1 when the audit finds something.
    """
    settings = read_settings()
    if settings.database_url or settings.redis_url:
        raise click.ClickException(
            "DATABASE_URL or REDIS_URL is set: restore servers of your own with their own tools (QUEUE_SYSTEM.md)"
        )
    manifest = read_manifest(directory.absolute())
    _check(settings, manifest)
    folder = settings.data_dir.absolute()
    with ExitStack() as stack:
        try:
            stack.callback(os.close, lock_data_folder(folder))
            names = _SERVERS if only is None else (only,)
            _make_room(folder, names, replace=replace)
            running = _start(settings, folder, directory.absolute(), manifest, names, stack)
        except (DataFolderError, EmbeddedServerError) as error:
            raise click.ClickException(str(error)) from None
        is_sound = repair_and_audit(running, as_json=False, show=SHOWN_DEFAULT, dry_run=False)
    Console().print("Restored; `guichet up` goes on from here.", highlight=False)
    sys.exit(0 if is_sound else 1)


def _check(settings: Settings, manifest: Manifest) -> None:
    partitions = int(manifest.installation.rpartition(":")[2])
    if partitions != settings.partitions:
        raise click.ClickException(
            f"The backup has {partitions} partitions, GUICHET_PARTITIONS says {settings.partitions}"
        )
    if manifest.schema > SCHEMA_VERSION:
        raise click.ClickException(
            f"The backup is at schema {manifest.schema}, made by a newer release than this ({SCHEMA_VERSION})"
        )


def _make_room(folder: Path, names: Sequence[str], *, replace: bool) -> None:
    """Never deletes: what was there stays beside it under another name."""
    present = [folder / name for name in names if (folder / name).exists()]
    if present and not replace:
        raise click.ClickException(f"{folder} holds data already; --replace sets it aside")
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    for path in present:
        aside = path.with_name(f"{path.name}.replaced-{stamp}")
        path.rename(aside)
        click.echo(f"What was in {path} is now in {aside}")


def _start(
    settings: Settings,
    folder: Path,
    directory: Path,
    manifest: Manifest,
    names: Sequence[str],
    stack: ExitStack,
) -> Settings:
    """Both servers, those of `names` with the backup's data, at this release's schema; stopped with `stack`."""
    if "redis" in names:
        _place_snapshot(directory / SNAPSHOT, folder / "redis", manifest.redis_version)
    servers = Servers(settings, folder)
    stack.callback(servers.stop)
    running = servers.start(settings)
    if "postgres" in names:
        _restore_dump(servers.owner_url(running), directory / DUMP, server_version=manifest.postgres_version)
    migrate(servers.owner_url(running), partitions=settings.partitions)
    return running


def _restore_dump(database_url: str, dump: Path, *, server_version: int) -> None:
    """As the role that will own it; what the application may do with it, the migration says."""
    address, environ = postgres_connection(libpq_url(database_url))
    program = find_postgres_program("pg_restore", server_version=server_version)
    options = [
        "--exit-on-error",
        "--single-transaction",
        "--no-owner",
        "--no-privileges",
        f"--dbname={address}",
    ]
    run_tool([program, *options, dump], environ)
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("analyze"))
    engine.dispose()


def _place_snapshot(snapshot: Path, data_dir: Path, version: str) -> None:
    """Redis reads a snapshot as the beginning of an append-only file. It says which version wrote it: an older one
    would start empty.
    """
    data_dir.mkdir(mode=0o700)
    shutil.copyfile(snapshot, data_dir / APPEND_ONLY_FILE)
    (data_dir / APPEND_ONLY_FILE).chmod(0o600)
    (data_dir / VERSION_FILE).write_text(f"{version}\n")
    sync(data_dir / APPEND_ONLY_FILE)
    sync(data_dir)
