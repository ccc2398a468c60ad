"""What the documents must not forget: settings, routes, problem codes, commands, reasons, Redis keys; and no dead links."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest

from api.app import create_app
from api.console import FOREIGN_ENDPOINT_PREFIX
from api.problems import PROBLEMS
from scripts.cli import COMMANDS, main
from shared.domain.findings import CHECKS
from shared.domain.outcomes import REASONS
from shared.line import keys
from shared.settings import Settings, variable_name
from worker.entries import ENTRIES

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], key=lambda path: str(path.relative_to(ROOT))
)
API = (ROOT / "docs/api.md").read_text()
OPERATING = (ROOT / "docs/operating.md").read_text()
QUEUE_SYSTEM = (ROOT / "QUEUE_SYSTEM.md").read_text()
GLOSSARY = (ROOT / "docs/glossary.md").read_text()
README = (ROOT / "README.md").read_text()


def table_rows(text: str) -> dict[str, list[str]]:
    """First cell → the others, of every row of every table; the first cell without its backticks."""
    rows = {}
    for line in text.splitlines():
        if line.startswith("|"):
            first, *others = (
                cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip("|"))
            )
            rows[first.strip("`")] = others
    return rows


def routes() -> Iterator[str]:
    """`GET /api/events/{event_id}` for every rule of the application, which connects to nothing here."""
    app = create_app(
        Settings(
            env="test",
            database_url="postgresql+psycopg2:///nowhere",
            redis_url="redis://localhost:1/0",
            secret_key="x" * 48,
        )
    )
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith(FOREIGN_ENDPOINT_PREFIX):  # rq-dashboard's, described as one
            continue
        address = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        yield from (f"{method} {address}" for method in (rule.methods or set()) - {"HEAD", "OPTIONS"})


def shown(default: object) -> str:
    """A default as the table shows it."""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return "none" if default == "" else f"`{default}`"


class TestSettings:
    def test_each_has_a_row_with_its_default(self):
        rows = table_rows(OPERATING)
        expected = {variable_name(field.name): shown(field.default) for field in fields(Settings)}
        assert {name: rows.get(name, ["missing"])[0] for name in expected} == expected

    def test_each_is_in_the_example(self):
        example = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
        assert {variable_name(field.name) for field in fields(Settings)} - example == set()

    def test_no_document_names_one_that_does_not_exist(self):
        known = {variable_name(field.name) for field in fields(Settings)}
        named = {
            (str(path.relative_to(ROOT)), name)
            for path in DOCUMENTS
            for name in re.findall(r"\bGUICHET_[A-Z_]+[A-Z]\b", path.read_text())
        }
        assert {(path, name) for path, name in named if name not in known} == set()


class TestApi:
    def test_has_every_route(self):
        named = set(re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /[^`?]*)`", API))
        assert named == set(routes())

    def test_has_every_problem_code_with_status_and_meaning(self):
        rows = table_rows(API)
        expected = {code: [str(status), meaning] for code, (status, meaning) in PROBLEMS.items()}
        assert {code: rows.get(code) for code in expected} == expected

    def test_reasons_are_explained(self):
        rows = table_rows(GLOSSARY)
        assert {reason: rows.get(reason) for reason in REASONS} == {
            reason: [meaning] for reason, meaning in REASONS.items()
        }


class TestCommands:
    def test_the_readme_has_each_and_no_other(self):
        assert set(re.findall(r"^\| `guichet ([a-z-]+)", README, re.MULTILINE)) == set(COMMANDS)

    @pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
    def test_every_command_that_a_document_names_exists(self, path):
        named = re.findall(r"(?:`|^|bin/|api )guichet ([a-z][a-z-]*)", path.read_text(), re.MULTILINE)
        assert set(named) - set(COMMANDS) == set()

    @pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
    def test_every_option_that_a_document_names_exists(self, path):
        for name, options in re.findall(r"`guichet ([a-z-]+)((?: [^`]*)?)`", path.read_text()):
            command = main.get_command(click.Context(main), name)
            assert command is not None
            if isinstance(command, click.Group) and (verbs := re.findall(r"^ ([a-z]+)", options)):
                command = command.get_command(click.Context(command), verbs[0])
                assert command is not None, options
            known = {option for parameter in command.params for option in parameter.opts}
            assert set(re.findall(r"--[a-z-]+", options)) <= known

    def test_every_make_target_that_the_readme_names_exists(self):
        targets = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert set(re.findall(r"^make ([a-z]+)", README, re.MULTILINE)) <= targets | {"help"}


class TestQueueSystem:
    def test_has_every_key(self):
        """Each function and constant of `shared/line/keys.py`, with `<…>` where a key varies."""
        rows = set(table_rows(QUEUE_SYSTEM))
        missing = set()
        for name, value in vars(keys).items():
            if inspect.isfunction(value) and value.__module__ == keys.__name__:
                pattern = key_pattern(value)
            elif name.isupper() and isinstance(value, str) and ":" in value and not value.endswith(":"):
                pattern = re.escape(value)
            else:
                continue
            if name != "EXECUTION_SUFFIX" and not any(re.fullmatch(pattern, row) for row in rows):
                missing.add(name)
        assert missing == set()

    def test_has_every_check_of_the_audit(self):
        rows = table_rows(QUEUE_SYSTEM)
        assert {check: rows.get(check) for check in CHECKS} == {
            check: [what] for check, what in CHECKS.items()
        }

    def test_names_every_script(self):
        scripts = {path.stem for path in (ROOT / "shared/line/scripts").glob("*.lua")}
        assert {name for name in scripts if f"`{name}`" not in QUEUE_SYSTEM} == set()


def key_pattern(function: object) -> str:
    """What the key function gives, with any `<…>` in place of its arguments."""
    assert callable(function)
    parameters = inspect.signature(function).parameters.values()
    # A number for a partition, because `queue_name` formats it; something recognisable for everything else.
    marks = {p.name: 987_654 if p.annotation in (int, "int") else "\x00" for p in parameters}
    key = function(**marks)
    together = str(987_654 // keys.USERS_TOGETHER)
    return re.sub(f"987654|{together}|{re.escape(re.escape(chr(0)))}", "<[^>]+>", re.escape(key))


def test_the_design_has_every_entry_of_the_schedule():
    rows = table_rows((ROOT / "docs/system-design.md").read_text())
    assert {entry.name for entry in ENTRIES} - set(rows) == set()
    seconds = {
        entry.name: f"{entry.seconds / 3600:g} h" if entry.seconds >= 3600 else f"{entry.seconds:g} s"
        for entry in ENTRIES
    }
    assert {name: rows[name][0] for name in seconds} == seconds


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
class TestLinks:
    def test_lead_somewhere(self, path):
        for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
            if target.startswith(("http://", "https://")):
                continue
            name, _, anchor = target.partition("#")
            linked = (path.parent / name).resolve() if name else path
            assert linked.exists(), target
            if anchor:
                assert anchor in anchors(linked), target

    def test_name_files_that_exist(self, path):
        """`shared/…`, `tests/…` and so on in backticks; those with `<…>` or `*` are patterns."""
        for name in re.findall(
            r"`((?:api|worker|shared|migrations|tests|scripts|docs)/[\w./-]*)`", path.read_text()
        ):
            assert (ROOT / name).exists(), name


def anchors(path: Path) -> set[str]:
    """The anchors that a reader of Markdown makes of its headings."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_decision_is_in_the_list():
    listed = (ROOT / "docs/adr/README.md").read_text()
    assert [path.name for path in sorted((ROOT / "docs/adr").glob("0*.md")) if path.name not in listed] == []
