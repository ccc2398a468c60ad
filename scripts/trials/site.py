"""Where a trial takes place: both servers and the proxies in front of them."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Final

from scripts.database_roles import APPLICATION, make_roles
from scripts.embedded.postgres import DATABASE
from scripts.environment import libpq_url
from scripts.trials.proxy.client import Proxy
from scripts.trials.servers.clock import NoShimError, WallClock, build_shim
from scripts.trials.servers.disk import NoDiskError, SmallDisk
from scripts.trials.servers.postgres import TrialPostgres
from scripts.trials.servers.redis import TrialRedis

# Rewrites and checkpoints often, so that faults meet them; and small files are copied and lost quickly.
_REDIS: Final = {"maxmemory": "512mb", "auto-aof-rewrite-min-size": "32mb"}
_POSTGRES: Final = {"max_wal_size": "192MB"}
_DISK_MEGABYTES: Final = 1024


def _turns() -> dict[str, threading.Lock]:
    return {place: threading.Lock() for place in ("redis", "postgres", "redis_proxy", "postgres_proxy")}


@dataclass(slots=True, kw_only=True)
class Site:
    """What faults of the servers and of the network have in their hands.

    `turns`: a server, and a proxy, suffers one fault at a time. `missing`: what cannot be had on this machine (`clock`,
    `disk`), and why.
    """

    redis: TrialRedis
    postgres: TrialPostgres
    redis_proxy: Proxy
    postgres_proxy: Proxy
    turns: dict[str, threading.Lock] = field(default_factory=_turns)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def redis_url(self) -> str:
        """The processes' REDIS_URL: through the proxy."""
        return self.redis_proxy.url(self.redis.url)

    @property
    def database_url(self) -> str:
        """The processes' DATABASE_URL: through the proxy, as the application's role."""
        return self.postgres_proxy.url(self.postgres.database_url(DATABASE, APPLICATION))


@contextmanager
def site(folder: Path, *, seed: int = 0) -> Iterator[Site]:
    """Both servers on fresh data below `folder`, the database `guichet` empty, its roles made, both proxies passing."""
    folder = folder.resolve()
    missing: dict[str, str] = {}
    with ExitStack() as stack:
        clocks = _clocks(folder, missing)
        disks = _disks(folder, stack, missing)
        postgres = TrialPostgres(
            folder / "postgres" / "data",
            clock=clocks.get("postgres"),
            disk=disks.get("postgres"),
            **_POSTGRES,
        )
        stack.callback(postgres.stop, "immediate")
        postgres.start()
        postgres.create_database()
        make_roles(libpq_url(postgres.url))
        redis = TrialRedis(
            folder / "redis" / "data", clock=clocks.get("redis"), disk=disks.get("redis"), **_REDIS
        )
        stack.callback(redis.kill)
        redis.start()
        stack.enter_context(redis.tail)
        yield Site(
            redis=redis,
            postgres=postgres,
            redis_proxy=stack.enter_context(Proxy(redis.socket_path, seed=seed)),
            postgres_proxy=stack.enter_context(Proxy(postgres.socket_path, seed=seed)),
            missing=missing,
        )


def script_needle(name: str) -> bytes:
    """What every run of the line's script `name` by its hash contains."""
    source = resources.files("shared.line").joinpath("scripts", f"{name}.lua").read_bytes()
    return hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()


def _clocks(folder: Path, missing: dict[str, str]) -> dict[str, WallClock]:
    (folder / "clocks").mkdir(parents=True, exist_ok=True)
    try:
        shim = build_shim(folder / "clocks")
    except NoShimError as error:
        missing["clock"] = str(error)
        return {}
    return {name: WallClock(shim, name) for name in ("redis", "postgres")}


def _disks(folder: Path, stack: ExitStack, missing: dict[str, str]) -> dict[str, SmallDisk]:
    try:
        return {
            name: stack.enter_context(SmallDisk(folder / name, megabytes=_DISK_MEGABYTES))
            for name in ("redis", "postgres")
        }
    except NoDiskError as error:
        missing["disk"] = str(error)
        return {}
