"""The data folder of an installation that `guichet up` runs: who owns it, its secret, `run.json`."""

import fcntl
import json
import os
import secrets
from pathlib import Path
from typing import Any

LOCK = "up.lock"
RUN_FILE = "run.json"
SECRET_FILE = "secret_key"  # noqa: S105 - the name of a file


class DataFolderError(Exception):
    """The data folder cannot be used; the message says why."""


def lock_data_folder(folder: Path) -> int:
    """Makes the folder and claims it for this process; keep the descriptor open. The kernel frees it at exit.

    Raises DataFolderError when another `guichet up` holds it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except PermissionError:
        raise DataFolderError(f"{folder} belongs to another user; choose another with GUICHET_DATA") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(descriptor, 20).decode().strip() or "unknown"
        os.close(descriptor)
        raise DataFolderError(
            f"another `guichet up` (process {owner}) runs on {folder}; stop it, or set GUICHET_DATA"
        ) from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def make_secret(folder: Path) -> str:
    """The development secret of this folder, generated once."""
    path = folder / SECRET_FILE
    if not path.exists():
        _write_private(path, secrets.token_urlsafe(48))
    return path.read_text().strip()


def find_secret(folder: Path) -> str:
    """The generated secret, or nothing when there is none."""
    path = folder / SECRET_FILE
    return path.read_text().strip() if path.exists() else ""


def write_run_file(folder: Path, document: dict[str, Any]) -> None:
    """Says in `run.json` what runs; readers never see half of it."""
    _write_private(folder / RUN_FILE, json.dumps(document, indent=2) + "\n")


def find_run_file(folder: Path) -> dict[str, Any] | None:
    """What runs on this folder, or None when nothing does."""
    try:
        document: dict[str, Any] = json.loads((folder / RUN_FILE).read_text())
    except (FileNotFoundError, PermissionError, json.JSONDecodeError):
        return None
    return document


def remove_run_file(folder: Path) -> None:
    """Nothing runs any more."""
    (folder / RUN_FILE).unlink(missing_ok=True)


def _write_private(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    new.replace(path)
