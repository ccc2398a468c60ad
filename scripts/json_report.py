"""`--json`: a command's report as a file, or on standard output."""

import sys
from pathlib import Path
from typing import Any, Final

import click
import orjson

json_option: Final = click.option(
    "--json", "json_path", help="Write the report there; - for standard output."
)


def write_json(document: dict[str, Any], json_path: str | None) -> None:
    """Writes the report where it was asked for, if it was."""
    if json_path is None:
        return
    text = orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"
    if json_path == "-":
        sys.stdout.buffer.write(text)
    else:
        Path(json_path).write_bytes(text)
