"""A trial's Redis: an embedded one that can be made to fail."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from scripts.embedded.common import wait_until
from scripts.embedded.redis import EmbeddedRedis

# A rewrite of the append-only file of a full Redis takes seconds.
_REWRITE_SECONDS: Final = 60.0


class TrialRedis(EmbeddedRedis):
    """Each fault is injected and healed within its call, unless it says otherwise."""

    @property
    def socket_path(self) -> Path:
        """The server's unix socket."""
        return self._socket_dir / "redis.sock"

    def crash(self, down_seconds: float) -> None:
        """SIGKILL; started again after a while."""
        self.kill()
        time.sleep(down_seconds)
        self.start()

    def restart(self, down_seconds: float = 0.0) -> None:
        """SIGTERM; started again after a while."""
        self.stop()
        time.sleep(down_seconds)
        self.start()

    def hang(self, seconds: float) -> None:
        """SIGSTOP: it accepts nothing and says nothing; connections stay open."""
        pid = self.pids[0]
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)

    def sleep_inside(self, seconds: float) -> None:
        """One command that takes so long, as a slow script would."""
        with self.operator() as client:
            client.execute_command("DEBUG", "SLEEP", seconds)

    def run_short_of_memory(self, seconds: float) -> None:
        """`maxmemory` below what is used already, then as before."""
        with self.operator() as client:
            before = client.config_get("maxmemory")["maxmemory"] or "0"
            client.config_set("maxmemory", "1mb")
            try:
                time.sleep(seconds)
            finally:
                client.config_set("maxmemory", before)

    def rewrite(self) -> None:
        """Writes the append-only file anew beside its work; returns when that is done."""
        with self.operator() as client:
            self._begin_rewrite(client)
            done = wait_until(lambda: not self._rewrites(client), timeout_seconds=_REWRITE_SECONDS)
        if not done:
            raise TimeoutError("the append-only file was not rewritten in time")

    def forget_scripts(self) -> None:
        """SCRIPT FLUSH: the next EVALSHA of each is answered NOSCRIPT."""
        with self.operator() as client:
            client.script_flush()

    def end_connections(self) -> int:
        """CLIENT KILL of everybody but us, subscribers too; how many it were."""
        with self.operator() as client:
            kinds = ("normal", "pubsub")
            return sum(int(client.client_kill_filter(_type=kind, skipme=True)) for kind in kinds)

    @contextmanager
    def operator(self) -> Iterator["Redis"]:
        """A connection past the proxy, that never repeats a command and is patient."""
        with closing(Redis.from_url(self.url, retry=Retry(NoBackoff(), 0), socket_timeout=60)) as client:
            yield client

    def _begin_rewrite(self, client: "Redis") -> None:
        """Redis refuses while another child of it writes."""
        if not wait_until(lambda: _accepted_rewrite(client), timeout_seconds=_REWRITE_SECONDS):
            raise TimeoutError("Redis did not begin to rewrite the append-only file")

    @staticmethod
    def _rewrites(client: "Redis") -> bool:
        found = client.info("persistence")
        return bool(found["aof_rewrite_in_progress"] or found["aof_rewrite_scheduled"])


def _accepted_rewrite(client: "Redis") -> bool:
    try:
        client.bgrewriteaof()
    except RedisError:
        return False
    return True
