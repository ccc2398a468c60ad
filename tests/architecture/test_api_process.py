"""What an API process loads when it starts: every process carries it for as long as it lives."""

import subprocess
import sys

import pytest

# Asked for once in a while, by an admin or a developer; the audit is a worker's and the command line's.
SELDOM = ("psutil", "apispec", "shared.services.audit", "shared.domain.replay", "rq", "alembic")
_LOADED = "import sys, api.app; print(*sys.modules, sep='\\n')"


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """Modules of a Python that has imported the application."""
    done = subprocess.run([sys.executable, "-c", _LOADED], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


class TestTheStart:
    def test_loads_the_application(self, loaded: set[str]) -> None:
        assert {"api.app", "api.routes.bookings", "sqlalchemy"} <= loaded

    @pytest.mark.parametrize("name", SELDOM)
    def test_leaves_what_is_seldom_asked_for(self, name: str, loaded: set[str]) -> None:
        assert name not in loaded
