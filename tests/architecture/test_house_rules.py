"""Rules of the house that a reviewer would otherwise have to repeat."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.problems import PROBLEMS
from shared.domain.outcomes import REASONS

ROOT = Path(__file__).resolve().parent.parent.parent
ROOMS = ("api", "worker", "shared", "scripts")

# Where a process or a command begins: only these hand the environment to `load_settings`.
ENTRYPOINTS = {
    "api/gunicorn_conf.py",
    "api/gunicorn_worker.py",  # asks whether gunicorn will read a SCRIPT_NAME there
    "api/wsgi.py",
    "worker/__main__.py",
    "worker/tasks.py",
}


def sources(*rooms: str) -> Iterator[tuple[str, str]]:
    for room in rooms or ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text()


def lines_with(pattern: str, *rooms: str) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()}"
        for name, text in sources(*rooms)
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(pattern, line)
    ]


def test_the_domain_reads_no_clock():
    assert lines_with(r"utc_now|\.now\(|time\.(time|monotonic)", "shared/domain") == []


def test_only_entrypoints_and_commands_read_the_environment():
    found = {line.split(":")[0] for line in lines_with(r"os\.environ|getenv")}
    assert {name for name in found if not name.startswith("scripts/")} == ENTRYPOINTS


def test_services_and_stores_never_commit():
    assert lines_with(r"\.commit\(", "shared/services", "shared/store") == []


def test_redis_keys_stand_in_one_file():
    found = lines_with(r"""["'f]guichet:|["']rq:(job|queue|wip|finished|failed|results|suspended)""")
    assert [
        line for line in found if not line.startswith(("shared/line/keys.py", "shared/line/installation.py"))
    ] == []


def test_every_code_that_is_raised_has_a_status():
    raised = set()
    for _, text in sources("api", "shared"):
        raised |= set(re.findall(r'(?:Refused|NotFound|Unavailable|Guichet)Error\(\s*"([a-z_]+)"', text))
    assert raised
    assert raised - set(PROBLEMS) == set()


def test_every_reason_of_a_decision_has_a_status_and_is_used():
    assert set(REASONS) <= set(PROBLEMS)
    domain = "\n".join(text for name, text in sources("shared/domain") if not name.endswith("outcomes.py"))
    assert {reason for reason in REASONS if f'"{reason}"' not in domain} == set()


def test_nothing_is_left_to_do():
    assert lines_with(r"#.*\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError\(\)") == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_module_says_what_it_is(room):
    silent = [name for name, text in sources(room) if text.strip() and not ast.get_docstring(ast.parse(text))]
    assert silent == []


def test_files_stay_small():
    large = [name for name, text in sources() if text.count("\n") > 400]
    assert large == []
