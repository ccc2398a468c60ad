"""docs/security.md: every line has its test, and every test that it names exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/security.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py(?:::\w+)*)`", TEXT)))
ROWS = re.findall(r"^\| (?!risk|what |---)(.*) \|$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("name", NAMED)
def test_every_test_that_it_names_exists(name: str) -> None:
    path, *names = name.split("::")
    scope: ast.AST = ast.parse((ROOT / path).read_text())
    for wanted in names:
        found = [node for node in ast.iter_child_nodes(scope) if getattr(node, "name", None) == wanted]
        assert found, f"{path} has no {wanted}"
        scope = found[0]
    assert not names or names[-1].startswith(("test_", "Test")), name


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split(" | ")[0])
def test_no_line_is_without_a_test(row: str) -> None:
    *_, tests = row.split(" | ")
    assert re.fullmatch(r"(`tests/[\w/]+\.py(::\w+)*` ?)+", tests), row


def test_all_ten_risks_of_apis_are_answered() -> None:
    assert {int(number) for number in re.findall(r"^\| API(\d+) ", TEXT, re.MULTILINE)} == set(range(1, 11))
