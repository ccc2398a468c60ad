"""The servers' own tools: those on the path if they are new enough, else the wheels'."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import click

from scripts.embedded import initdb, redis
from scripts.embedded.common import EmbeddedServerError, server_environment


def find_postgres_program(name: str, *, server_version: int) -> Path:
    """`pg_dump` or `pg_restore` not older than the server (PostgreSQL refuses older ones).

    Raises click.ClickException when there is none.
    """
    for path in _candidates(name):
        if _major(path) >= server_version // 10_000:
            return path
    raise click.ClickException(
        f"{name} of PostgreSQL {server_version // 10_000} or newer is needed; put it on the path"
    )


def _candidates(name: str) -> Iterator[Path]:
    if found := shutil.which(name):
        yield Path(found)
    try:
        wheel = initdb.programs() / name
    except EmbeddedServerError:
        return
    if wheel.exists():
        yield wheel


def _major(path: Path) -> int:
    output = subprocess.run([path, "--version"], check=False, capture_output=True, text=True).stdout
    match = re.search(r"\) (\d+)", output)
    return int(match[1]) if match else 0


def find_redis_client() -> Path:
    """`redis-cli`; raises click.ClickException when there is none."""
    if found := shutil.which("redis-cli"):
        return Path(found)
    try:
        return redis.program("redis-cli")
    except EmbeddedServerError:
        raise click.ClickException("redis-cli is needed; put it on the path") from None


def postgres_connection(url: str) -> tuple[str, dict[str, str]]:
    """An address for libpq's tools and their environment: the password is in that, where `ps` does not show it."""
    parts = urlsplit(url)
    environ = server_environment()
    if parts.password:
        environ["PGPASSWORD"] = unquote(parts.password)
    user, _, host = parts.netloc.rpartition("@")
    netloc = f"{user.partition(':')[0]}@{host}" if user else host
    return urlunsplit(parts._replace(netloc=netloc)), environ


def redis_connection(url: str) -> tuple[list[str], dict[str, str]]:
    """Options of `redis-cli` for an address, and its environment with the password."""
    parts = urlsplit(url)
    environ = server_environment()
    if parts.password:
        environ["REDISCLI_AUTH"] = unquote(parts.password)
    if parts.scheme == "unix":
        return ["-s", unquote(parts.path)], environ
    options = ["-h", parts.hostname or "localhost", "-p", str(parts.port or 6379)]
    if parts.username:
        options += ["--user", unquote(parts.username)]
    return options + (["--tls"] if parts.scheme == "rediss" else []), environ


def run_tool(command: Sequence[str | os.PathLike[str]], environ: Mapping[str, str]) -> None:
    """Runs it to its end; raises click.ClickException with what it complained about."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environ, cwd="/")
    if done.returncode != 0:
        complaint = (done.stderr or done.stdout).strip()[-2000:]
        raise click.ClickException(f"{Path(command[0]).name} failed:\n{complaint}")
