"""Command lines in code blocks of the documents: each command, subcommand and option there is one."""

import re
import shlex
from pathlib import Path

import click
import pytest

from scripts.cli import main

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("QUEUE_SYSTEM.md", "README.md", "docs/operating.md", "docs/testing.md", "docs/performance.md")
_BLOCK = re.compile(r"^ *```sh\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_CALL = re.compile(r"(?:^|[\s;|(])guichet ([^;|)\n]*)")


def calls(name: str) -> list[str]:
    """What stands behind `guichet` in the document's code blocks."""
    blocks = _BLOCK.findall((ROOT / name).read_text())
    return [call.partition(" #")[0].strip() for block in blocks for call in _CALL.findall(block)]


@pytest.mark.parametrize(
    ("name", "call"), [(name, call) for name in DOCUMENTS for call in calls(name)], ids=lambda value: value
)
def test_can_be_typed(name: str, call: str) -> None:
    command: click.Command = main
    context = click.Context(main)
    words = shlex.split(call.replace("$(date +%F", "today"))
    while isinstance(command, click.Group) and words:
        found = command.get_command(context, words[0])
        assert found is not None, call
        command, words = found, words[1:]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options, call


def test_the_runbook_has_some() -> None:
    """Or the patterns above have stopped finding them."""
    assert len(calls("QUEUE_SYSTEM.md")) > 20
