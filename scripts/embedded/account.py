"""The system user a server runs as: PostgreSQL refuses to run as root."""

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

SYSTEM_USER = "pgserver"
FALLBACK_USER = "nobody"


def find_server_account(data_dir: Path) -> tuple[int, int] | None:
    """The uid and gid for the server of `data_dir`; None when it may simply run as we do.

    As root: whoever owns the data already, else the system user `pgserver`, which is created, or `nobody` on
    a system that has no `useradd`.
    """
    if os.geteuid() != 0:
        return None
    if data_dir.exists() and (owner := data_dir.stat()).st_uid != 0:
        return owner.st_uid, owner.st_gid
    entry = _find_user(SYSTEM_USER) or _create_user(SYSTEM_USER) or pwd.getpwnam(FALLBACK_USER)
    return entry.pw_uid, entry.pw_gid


def let_pass(path: Path) -> None:
    """Lets other users search (not list) the parents of `path` where they cannot: the least that works."""
    for parent in path.resolve().parents:
        mode = stat.S_IMODE(parent.stat().st_mode)
        if not mode & stat.S_IXOTH:
            parent.chmod(mode | stat.S_IXOTH)


def let_read(tree: Path) -> None:
    """Lets other users read a tree of programs that was installed under a strict umask."""
    let_pass(tree)
    if _readable(tree) and all(_readable(path) for path in tree.iterdir()):
        return
    for path in (tree, *tree.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        execute = stat.S_IXOTH if mode & stat.S_IXUSR else 0
        path.chmod(mode | stat.S_IROTH | execute)


def _readable(path: Path) -> bool:
    return bool(path.stat().st_mode & stat.S_IROTH)


def _find_user(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _create_user(name: str) -> pwd.struct_passwd | None:
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is None:
        return None
    command = [useradd, "--system", "--no-create-home", "--shell", "/bin/false", name]
    subprocess.run(command, check=False, capture_output=True)
    return _find_user(name)
