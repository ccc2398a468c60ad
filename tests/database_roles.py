"""A database with the roles of `deploy/roles.sql`, migrated by its owner, and who connects to it."""

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Engine

from scripts.database_roles import APPLICATION, OWNER, READER, make_roles
from scripts.embedded.postgres import EmbeddedPostgres
from scripts.environment import libpq_url
from scripts.migrate import migrate
from shared.db import make_engine
from tests.conftest import PARTITIONS

INSUFFICIENT_PRIVILEGE = "42501"


@dataclass(frozen=True, slots=True)
class RoleDatabase:
    """Addresses and engines of one database, by who connects."""

    superuser_url: str
    owner_url: str
    application_url: str
    reader_url: str
    superuser: Engine
    owner: Engine
    application: Engine
    reader: Engine


@contextlib.contextmanager
def role_database(postgres: EmbeddedPostgres, *, roles_first: bool = True) -> Iterator[RoleDatabase]:
    """Made as `docs/operating.md` says for a new installation; with `roles_first` false, as for one that had no roles
    before. Dropped with the block.
    """
    name = f"roles_{secrets.token_hex(4)}"
    postgres.create_database(name)
    superuser = postgres.database_url(name)
    if not roles_first:
        migrate(superuser, partitions=PARTITIONS)
    make_roles(libpq_url(superuser))
    urls = [postgres.database_url(name, role) for role in (OWNER, APPLICATION, READER)]
    migrate(urls[0], partitions=PARTITIONS)
    engines = [make_engine(url) for url in (superuser, *urls)]
    try:
        yield RoleDatabase(superuser, *urls, *engines)
    finally:
        for engine in engines:
            engine.dispose()
        postgres.drop_database(name)
