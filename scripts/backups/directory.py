"""The directory of a backup: two files, and a third, written last, that says what they are."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import click

DUMP: Final = "postgres.dump"
SNAPSHOT: Final = "redis.rdb"
MANIFEST: Final = "backup.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup holds. Instants are the servers' own, RFC 3339."""

    installation: str  # its id and number of partitions
    schema: str
    redis_at: str  # every request accepted by then is in it
    postgres_at: str  # every decision made by then is in it
    redis_version: str
    postgres_version: int
    sha256: dict[str, str]


def make_directory(directory: Path) -> None:
    """A new directory that only its owner can enter; raises click.ClickException when something is in it."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise click.ClickException(f"{directory} is not empty; a backup never overwrites anything")
    directory.chmod(0o700)


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Makes the backup complete: everything is on the disk before this is."""
    path = directory / MANIFEST
    path.touch(mode=0o600)
    path.write_text(json.dumps(asdict(manifest), indent=2) + "\n")
    for name in (DUMP, SNAPSHOT, MANIFEST):
        sync(directory / name)
    sync(directory)


def read_manifest(directory: Path) -> Manifest:
    """What the backup holds, its files compared with their checksums. Raises click.ClickException."""
    try:
        manifest = Manifest(**json.loads((directory / MANIFEST).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise click.ClickException(f"{directory} holds no complete backup ({error})") from None
    for name, digest in manifest.sha256.items():
        if not (directory / name).is_file() or checksum(directory / name) != digest:
            raise click.ClickException(f"{directory / name} is not what was backed up")
    return manifest


def checksum(path: Path) -> str:
    """sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Returns when it is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
