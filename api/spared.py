"""Modules that libraries import and no process of ours uses: an API process does without them, 1.6 MB smaller.

redis-py imports its client for asyncio, and SQLAlchemy's package for PostgreSQL three drivers that nobody chose. Each
is named there, and nothing more. A name that a library no longer has does no harm; if one wanted something of what
is left out here when it is imported, no API process would start, and every test of a real server would show it.
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Final

DRIVERS: Final = tuple(
    f"sqlalchemy.dialects.postgresql.{driver}" for driver in ("asyncpg", "pg8000", "psycopg2cffi")
)
ASYNC_REDIS: Final = "redis.asyncio"


def spare_unused() -> None:
    """Leaves them empty. To be called before either library is imported; what was imported already stays."""
    for name in DRIVERS:
        sys.modules.setdefault(name, ModuleType(name))
    found = find_spec("redis")
    if ASYNC_REDIS not in sys.modules and found is not None and found.origin is not None:
        package = ModuleType(ASYNC_REDIS)
        # The commands want its counters, which are a module of their own in there.
        package.__path__ = [str(Path(found.origin).parent / "asyncio")]
        sys.modules[ASYNC_REDIS] = package
