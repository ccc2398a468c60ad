"""Where a trial takes place: both servers and the proxies in front of them."""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from scripts.trials.proxy.client import Proxy
from scripts.trials.servers.postgres import TrialPostgres
from scripts.trials.servers.redis import TrialRedis


@dataclass(slots=True, kw_only=True)
class Site:
    """What faults of the servers and of the network have in their hands."""

    redis: TrialRedis
    postgres: TrialPostgres
    redis_proxy: Proxy
    postgres_proxy: Proxy

    @property
    def redis_url(self) -> str:
        """The processes' REDIS_URL: through the proxy."""
        return self.redis_proxy.url(self.redis.url)

    @property
    def database_url(self) -> str:
        """The processes' DATABASE_URL: through the proxy."""
        return self.postgres_proxy.url(self.postgres.url)


@contextmanager
def site(folder: Path, *, seed: int = 0, **redis_config: str) -> Iterator[Site]:
    """Both servers on fresh data below `folder`, the database `guichet` empty, both proxies passing."""
    with ExitStack() as stack:
        postgres = TrialPostgres(folder / "postgres")
        stack.callback(postgres.stop, "immediate")
        postgres.start()
        postgres.create_database()
        redis = TrialRedis(folder / "redis", **redis_config)
        stack.callback(redis.kill)
        redis.start()
        yield Site(
            redis=redis,
            postgres=postgres,
            redis_proxy=stack.enter_context(Proxy(redis.socket_path, seed=seed)),
            postgres_proxy=stack.enter_context(Proxy(postgres.socket_path, seed=seed)),
        )


def script_needle(name: str) -> bytes:
    """What every run of the line's script `name` by its hash contains."""
    source = resources.files("shared.line").joinpath("scripts", f"{name}.lua").read_bytes()
    return hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()
