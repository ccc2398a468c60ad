"""What both embedded servers need: a short socket path, an environment, somebody's leftover process."""

import hashlib
import os
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

# sockaddr_un holds 104 bytes on macOS and 108 on Linux, the closing zero included.
SOCKET_PATH_BYTES_MAX = 100
LOG_BYTES_MAX = 10_000_000


class EmbeddedServerError(Exception):
    """An embedded server cannot start or stop; the message says why and what to do."""


def socket_directory(data_dir: Path, socket_name: str) -> Path:
    """Where the server of `data_dir` puts its socket: beside its data, which only its owner can enter.

    A path too long for a socket gets a short directory under the temporary one, the same at every start.
    """
    if len(os.fsencode(data_dir / socket_name)) <= SOCKET_PATH_BYTES_MAX:
        return data_dir
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"guichet-{digest}"


def make_private_directory(directory: Path, owner: tuple[int, int] | None = None) -> None:
    """Makes `directory` (0700, owned by `owner` or by us); refuses one that somebody else put there first.

    Nothing is followed or changed before it is known whose it is: the temporary directory is everybody's.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.lstat()
    uid = os.geteuid() if owner is None else owner[0]
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (uid, os.geteuid()):
        raise EmbeddedServerError(
            f"{directory} belongs to another user; remove it or choose another GUICHET_DATA"
        )
    directory.chmod(0o700)
    if owner is not None:
        os.chown(directory, *owner, follow_symlinks=False)


def remove_socket_directory(directory: Path, data_dir: Path) -> None:
    """Removes a short directory that only held the socket, once the server has removed that."""
    if directory != data_dir:
        with suppress(OSError):
            directory.rmdir()


def server_environment() -> dict[str, str]:
    """Our environment without what would steer a server or its tools from outside."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C"}


def open_log(path: Path) -> int:
    """A descriptor that appends to `path`; a log past 10 MB starts again."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
        flags |= os.O_TRUNC
    return os.open(path, flags, 0o600)


def log_tail(path: Path, lines: int = 8) -> str:
    """The last lines of a log, for an error message."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""


def wait_until(ready: Callable[[], bool], *, timeout_seconds: float, every_seconds: float = 0.02) -> bool:
    """True as soon as `ready()` is; False when it never was within the time."""
    deadline = time.monotonic() + timeout_seconds
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_seconds)
    return True


def end_process(
    process: subprocess.Popen[bytes], first_signal: signal.Signals, *, timeout_seconds: float
) -> None:
    """Sends `first_signal`, waits, and kills what did not listen."""
    if process.poll() is None:
        process.send_signal(first_signal)
        try:
            process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def end_leftover(pid: int, executable_name: str, first_signal: signal.Signals) -> None:
    """Ends a server that outlived whoever started it; does nothing when `pid` is something else by now."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if process.name() == executable_name and not has_ended(process):
            process.send_signal(first_signal)
            if not wait_until(lambda: has_ended(process), timeout_seconds=30):
                process.kill()
                wait_until(lambda: has_ended(process), timeout_seconds=5)


def has_ended(process: psutil.Process) -> bool:
    """True for a zombie too: an orphan may wait for seconds until the machine's first process collects it."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE or not process.is_running()
    except psutil.NoSuchProcess:
        return True
