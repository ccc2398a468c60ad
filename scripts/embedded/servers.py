"""The embedded servers of one data folder: those that the environment does not name, kept running."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from scripts.database_roles import APPLICATION, OWNER, make_roles
from scripts.embedded.common import EmbeddedServerError
from scripts.embedded.postgres import DATABASE, EmbeddedPostgres
from scripts.embedded.redis import EmbeddedRedis
from scripts.environment import libpq_url
from scripts.supervisor import say
from shared.settings import Settings

_RETRY_SECONDS = 5.0


class Server(Protocol):
    """What both have in common."""

    @property
    def url(self) -> str:
        """Where clients find it."""

    @property
    def pids(self) -> list[int]:
        """Its pid, while it runs."""

    def start(self) -> None:
        """Starts on its data."""

    def stop(self) -> None:
        """Stops, keeping its data."""


class Servers:
    """Starts, watches and stops them."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._servers: dict[str, Server] = {}
        self._postgres = EmbeddedPostgres(folder / "postgres") if not settings.database_url else None
        self._redis = EmbeddedRedis(folder / "redis") if not settings.redis_url else None
        if self._postgres is not None:
            self._servers["postgres"] = self._postgres
        if self._redis is not None:
            self._servers["redis"] = self._redis
        self._retry_at = 0.0

    def start(self, settings: Settings) -> Settings:
        """Starts them and returns the settings with their addresses; PostgreSQL's is the superuser's. Raises
        EmbeddedServerError.
        """
        for server in self._servers.values():
            server.start()
        if self._postgres is not None:
            self._postgres.create_database()
            make_roles(libpq_url(self._postgres.url))
            settings = replace(settings, database_url=self._postgres.url)
        return settings if self._redis is None else replace(settings, redis_url=self._redis.url)

    def owner_url(self, settings: Settings) -> str:
        """Where migrations go: as the owner of the tables on a server of ours, else as the settings say."""
        return (
            settings.database_url if self._postgres is None else self._postgres.database_url(DATABASE, OWNER)
        )

    def application_url(self, settings: Settings) -> str:
        """What the processes are given: the application's role on a server of ours, else as the settings say."""
        return (
            settings.database_url
            if self._postgres is None
            else self._postgres.database_url(DATABASE, APPLICATION)
        )

    def pids(self) -> dict[str, list[int]]:
        """Name → pids; empty for a server that is not ours."""
        return {
            name: self._servers[name].pids if name in self._servers else [] for name in ("postgres", "redis")
        }

    def tick(self) -> bool:
        """Starts again what died; true when it did."""
        changed = False
        for name, server in self._servers.items():
            if not server.pids and time.monotonic() >= self._retry_at:
                say("up", f"{name} ended; starting it again")
                changed = True
                try:
                    server.start()
                except EmbeddedServerError as error:
                    say("up", str(error))
                    self._retry_at = time.monotonic() + _RETRY_SECONDS
        return changed

    def stop(self) -> None:
        """Stops them, last started first."""
        for server in reversed(self._servers.values()):
            server.stop()
