"""Whatever looks like a secret in this repository is one that production refuses: everybody can read it here."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.secret_rules import MIN_SECRET_BYTES, find_secret_weakness, find_url_password_weakness

ROOT = Path(__file__).resolve().parents[2]
# What a checkout has beside its own files.
NOT_OURS = {".git", ".venv", ".data", "build", "node_modules"}
KINDS = {
    ".py",
    ".md",
    ".yml",
    ".yaml",
    ".toml",
    ".json",
    ".sql",
    ".sh",
    ".example",
    ".lua",
    ".html",
    ".txt",
    "",
}
_VALUE = re.compile(r"[\"'=`:\s]([A-Za-z0-9+/=_.~$!@#%^&*-]{32,})(?=[\"'`\s,)}]|$)")
_URL = re.compile(r"\b(?:postgres(?:ql)?|rediss?)://[^\s\"'`<>)]+")
# Of tests, where the values of the rule's own examples stand.
_RULES = {"tests/unit/test_secret_rules.py"}


def own_files() -> Iterator[tuple[str, str]]:
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if (
            path.is_file()
            and path.suffix in KINDS
            and not NOT_OURS & set(parts)
            and "egg-info" not in str(path)
        ):
            yield "/".join(parts), path.read_text(errors="replace")


FILES = dict(own_files())


def test_looks_at_the_files_that_matter() -> None:
    assert {
        ".env.example",
        "docker-compose.yml",
        "README.md",
        "docs/operating.md",
        "tests/conftest.py",
    } <= set(FILES)


def test_no_document_and_no_test_holds_a_signing_key_that_production_takes() -> None:
    found = [
        f"{name}: {value}"
        for name, text in FILES.items()
        if name not in _RULES
        for line in text.splitlines()
        if re.search(r"secret|signing.?key", line, re.IGNORECASE)
        for value in _VALUE.findall(line)
        if len(value) >= MIN_SECRET_BYTES and find_secret_weakness(value) is None
    ]
    assert found == []


@pytest.mark.parametrize(
    "name", ["README.md", ".env.example", "docker-compose.yml", "docs/operating.md", "QUEUE_SYSTEM.md"]
)
def test_no_document_holds_a_database_password_that_production_takes(name: str) -> None:
    """A variable in it (`${…}`) is none, nor are dots, or a word in capital letters that stands for one."""
    for url in _URL.findall(FILES[name]):
        if "$" in url or "…" in url or "@" not in url:
            continue
        password = re.sub(r".*://[^:@]*:?([^@]*)@.*", r"\1", url)
        assert password in ("", "password") or password.isupper() or find_url_password_weakness(url), url
