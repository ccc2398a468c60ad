"""Every process of production refuses a weak secret alike: exit code 2, one line that says what to do, no secret in it."""

import subprocess
import sys

import pytest

from tests.lines import ROOT

WEAK = "Tr0ub4dor-Tr0ub4dor-Tr0ub4dor-Tr0ub4dor-"
PASSWORD = "sea-otter/at#dusk"
PROCESSES = {
    "web": ["-m", "gunicorn", "--config", "api/gunicorn_conf.py", "api.wsgi:app"],
    "web, installed": ["-m", "gunicorn", "--config", "python:api.gunicorn_conf", "api.wsgi:app"],
    "worker": ["-m", "worker", "bookings"],
    "tasks": ["-m", "worker", "tasks"],
}


def start(arguments: list[str], **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("arguments", PROCESSES.values(), ids=PROCESSES)
class TestAProcess:
    def test_refuses_a_weak_secret(self, arguments: list[str]) -> None:
        done = start(arguments, GUICHET_ENV="production", GUICHET_SECRET_KEY=WEAK)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("GUICHET_SECRET_KEY: ")
        assert "openssl rand -base64 48" in done.stderr
        assert "Tr0ub4dor" not in done.stdout + done.stderr

    def test_does_not_show_a_password_that_makes_an_address_unreadable(self, arguments: list[str]) -> None:
        done = start(arguments, DATABASE_URL=f"postgresql://guichet_app:{PASSWORD}@db/guichet")
        assert done.returncode == 2
        assert done.stderr.startswith("DATABASE_URL ")
        assert not any(piece in done.stdout + done.stderr for piece in ("sea-otter", "at#dusk", "dusk"))


@pytest.mark.parametrize("name", ["migrate", "create-admin", "up"])
def test_a_command_refuses_it_too(name: str) -> None:
    command = ["-c", "from scripts.cli import main; main()", name]
    arguments = ["someone@example.org"] if name == "create-admin" else []
    done = start(
        [*command, *arguments], GUICHET_ENV="production", GUICHET_SECRET_KEY=WEAK, GUICHET_DATA="/nonexistent"
    )
    assert done.returncode == 1
    assert "GUICHET_SECRET_KEY" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Tr0ub4dor" not in done.stdout + done.stderr
