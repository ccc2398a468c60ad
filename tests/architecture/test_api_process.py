"""What an API process loads when it starts: every process carries it for as long as it lives."""

import os
import subprocess
import sys

import pytest

from shared.settings import variable_name

# Asked for once in a while, by an admin or a developer; the audit is a worker's and the command line's.
SELDOM = ("psutil", "apispec", "shared.services.audit", "shared.domain.replay", "rq", "alembic")
# What libraries import and nobody uses.
SPARED = (
    "redis.asyncio",
    "redis.asyncio.client",
    "redis.asyncio.cluster",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.dialects.postgresql.pg8000",
    "sqlalchemy.dialects.postgresql.psycopg2cffi",
)
# A module that was left empty has a name, and comes from no file.
_LOADED = """
import sys, api.wsgi
print(*(name for name, module in sys.modules.items() if getattr(module, "__spec__", None)), sep="\\n")
"""
_SETTINGS = {
    "database_url": "postgresql+psycopg2://nobody@127.0.0.1:1/none",
    "redis_url": "redis://127.0.0.1:1/0",
    "secret_key": "of a process that answers nobody",
}


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """Modules of a Python that has built what gunicorn serves."""
    environ = os.environ | {variable_name(name): value for name, value in _SETTINGS.items()}
    done = subprocess.run(
        [sys.executable, "-c", _LOADED], check=True, capture_output=True, text=True, env=environ
    )
    return set(done.stdout.split())


class TestTheStart:
    def test_loads_the_application(self, loaded: set[str]) -> None:
        assert {"api.app", "api.routes.bookings", "sqlalchemy", "redis.client"} <= loaded

    @pytest.mark.parametrize("name", SELDOM)
    def test_leaves_what_is_seldom_asked_for(self, name: str, loaded: set[str]) -> None:
        assert name not in loaded

    @pytest.mark.parametrize("name", SPARED)
    def test_leaves_what_only_libraries_ask_for(self, name: str, loaded: set[str]) -> None:
        assert name not in loaded
