"""Reads the Procfile: which processes an installation consists of."""

import shlex
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
PROCFILE = PROJECT / "Procfile"


def read_procfile(path: Path = PROCFILE) -> dict[str, list[str]]:
    """Name → command line, in the file's order."""
    commands = {}
    for line in path.read_text().splitlines():
        name, colon, command = line.partition(":")
        if colon and not name.startswith("#"):
            commands[name.strip()] = shlex.split(command)
    return commands
