"""`guichet backup`: copies Redis and PostgreSQL as a pair; nothing has to be stopped."""

from pathlib import Path

import click
from redis import Redis
from sqlalchemy import text

from scripts.backups.directory import DUMP, SNAPSHOT, Manifest, checksum, make_directory, write_manifest
from scripts.backups.programs import (
    find_postgres_program,
    find_redis_client,
    postgres_connection,
    redis_connection,
    run_tool,
)
from scripts.embedded.at_hand import servers_at_hand
from scripts.environment import libpq_url, read_settings
from shared.clock import from_micros, rfc3339
from shared.db import SCHEMA_VERSION, find_schema_version, make_engine, transaction
from shared.line import keys
from shared.line.client import make_redis, text_of
from shared.settings import Settings
from shared.store.line_state import get_installation


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def command(directory: Path) -> None:
    """Copies PostgreSQL and Redis, as a pair, into DIRECTORY, which must be new or empty.

    Works while everything runs, and, with embedded servers, while nothing does. Redis goes first: see
    QUEUE_SYSTEM.md.
    """
    with servers_at_hand(read_settings()) as settings:
        manifest = back_up(settings, directory.absolute())
    click.echo(f"{directory}: every request accepted by {manifest.redis_at}, every decision made by")
    click.echo(f"{manifest.postgres_at}. Keep it where this machine's disk cannot take it along.")


def back_up(settings: Settings, directory: Path) -> Manifest:
    """Writes the backup and returns what is in it. Raises click.ClickException, leaving one without manifest."""
    make_directory(directory)
    redis = make_redis(settings.redis_url, max_connections=1)
    engine = make_engine(settings.database_url, pool_size=1)
    try:
        with transaction(engine) as session:
            schema = find_schema_version(session)
            if schema != SCHEMA_VERSION:
                raise click.ClickException(f"The database is at schema {schema}; run `guichet migrate` first")
            installation = get_installation(session).mark
            version = session.scalar(text("select current_setting('server_version_num')::int"))
        mark = redis.get(keys.INSTALLATION)
        if mark is not None and text_of(mark) != installation:
            raise click.ClickException("This Redis belongs to another installation than the database")
        redis_at, redis_version = _now(redis), str(redis.info("server")["redis_version"])
        _copy_redis(settings.redis_url, directory / SNAPSHOT)
        with transaction(engine) as session:
            postgres_at = rfc3339(session.scalar(text("select now()")))
        _dump_postgres(settings.database_url, directory / DUMP, server_version=version)
    finally:
        redis.close()
        engine.dispose()
    manifest = Manifest(
        installation=installation,
        schema=schema,
        redis_at=redis_at,
        postgres_at=postgres_at,
        redis_version=redis_version,
        postgres_version=version,
        sha256={name: checksum(directory / name) for name in (DUMP, SNAPSHOT)},
    )
    write_manifest(directory, manifest)
    return manifest


def _now(redis: "Redis") -> str:
    seconds, micros = redis.time()
    return rfc3339(from_micros(int(seconds) * 1_000_000 + int(micros)))


def _copy_redis(url: str, path: Path) -> None:
    """A snapshot as replicas get it: everything at one moment, of all the server's database numbers."""
    options, environ = redis_connection(url)
    path.touch(mode=0o600)
    run_tool([find_redis_client(), *options, "--rdb", path], environ)


def _dump_postgres(url: str, path: Path, *, server_version: int) -> None:
    """One consistent snapshot of the database, as of the dump's start; nobody waits for it."""
    address, environ = postgres_connection(libpq_url(url))
    program = find_postgres_program("pg_dump", server_version=server_version)
    path.touch(mode=0o600)
    options = ["--format=custom", "--no-owner", "--no-privileges", f"--file={path}", f"--dbname={address}"]
    run_tool([program, *options], environ)
