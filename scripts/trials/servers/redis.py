"""A trial's Redis: an embedded one that can be made to fail."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import psutil
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from scripts.embedded.common import wait_until
from scripts.embedded.redis import APPEND_ONLY_FILE, EmbeddedRedis
from scripts.trials.servers.append_only_file import TailWatch, copy_beginning
from scripts.trials.servers.clock import WallClock
from scripts.trials.servers.disk import NoDiskError, SmallDisk

# A rewrite of the append-only file of a full Redis takes seconds.
_REWRITE_SECONDS: Final = 60.0
# A child waits 5 s for a word from its parent.
_ORPHAN_SECONDS: Final = 10.0


class TrialRedis(EmbeddedRedis):
    """Each fault is injected and healed within its call. `config` as the embedded one's.

    `clock`: what it believes the time is. `disk`: what its data lies on, where that can be filled.
    """

    def __init__(
        self, data_dir: Path, *, clock: WallClock | None = None, disk: SmallDisk | None = None, **config: str
    ) -> None:
        super().__init__(data_dir, **config)
        self.clock, self.disk = clock, disk
        self._file = self._data_dir / APPEND_ONLY_FILE
        self.tail = TailWatch(self._file)
        self._orphans: list[psutil.Process] = []

    @property
    def socket_path(self) -> Path:
        """The server's unix socket."""
        return self._socket_dir / "redis.sock"

    def kill(self) -> None:
        """SIGKILL: a crash. A child that writes a file lives on for some seconds, and with it every connection."""
        if self.pid is not None:
            self._orphans += psutil.Process(self.pid).children()
        super().kill()

    def start(self) -> None:
        """As the embedded one's; returns once nothing is left of one that was killed."""
        super().start()
        _, living = psutil.wait_procs(self._orphans, timeout=_ORPHAN_SECONDS)
        for orphan in living:
            orphan.kill()
        self._orphans = []

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

    def cut_tail(self, lost_seconds: float, down_seconds: float) -> float | None:
        """SIGKILL, and what was appended in the last seconds is gone: a disk that lied about having written.

        Since when acknowledged changes may be lost; None where nothing was cut. Needs `tail` to watch. It may be less
        than asked for: no further back than the last rewrite.
        """
        self.kill()
        time.sleep(down_seconds)
        earlier = self.tail.before(time.monotonic() - down_seconds - lost_seconds)
        if earlier is not None:
            os.truncate(
                self._file, earlier.size
            )  # in the middle of an entry: `aof-load-truncated` drops that too
            self.tail.forget()
        self.start()
        return None if earlier is None else earlier.at

    def go_back(self, age_seconds: float, down_seconds: float) -> float:
        """SIGKILL, and an old copy of the data in its place; since when acknowledged changes are lost."""
        copy = self._file.with_name("old.aof")
        since = copy_beginning(self._file, copy)
        time.sleep(age_seconds)
        self.kill()
        copy.replace(self._file)
        self.tail.forget()
        time.sleep(down_seconds)
        self.start()
        return since

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
        """`maxmemory` below what is used already: every write that needs memory is refused. Then as before."""
        with self.operator() as client:
            before = client.config_get("maxmemory")["maxmemory"] or "0"
            client.config_set("maxmemory", "1")
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

    def crash_while_it_rewrites(self, after_seconds: float, down_seconds: float) -> bool:
        """SIGKILL while its child writes the append-only file anew; whether the child was still at it."""
        with self.operator() as client:
            self._begin_rewrite(client)
            time.sleep(after_seconds)
            in_time = self._rewrites(client)
        self.crash(down_seconds)
        return in_time

    def save(self) -> None:
        """Writes a snapshot beside its work, which forks and copies pages; returns when that is done."""
        with self.operator() as client:
            if not wait_until(lambda: _accepted(client.bgsave), timeout_seconds=_REWRITE_SECONDS):
                raise TimeoutError("Redis did not begin to save")
            wait_until(
                lambda: not client.info("persistence")["rdb_bgsave_in_progress"],
                timeout_seconds=_REWRITE_SECONDS,
            )

    def fill_disk(self, seconds: float) -> bool:
        """No byte can be written for a while. Whether Redis died of it, as it must at its first write."""
        if self.disk is None:
            raise NoDiskError("this Redis has no disk of its own")
        self.disk.fill()
        try:
            time.sleep(seconds)
        finally:
            self.disk.free()
        died = not self.pids
        self.start()
        return died

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

    def _environ(self) -> dict[str, str]:
        return super()._environ() | ({} if self.clock is None else self.clock.environ)

    def _begin_rewrite(self, client: "Redis") -> None:
        if not wait_until(lambda: _accepted(client.bgrewriteaof), timeout_seconds=_REWRITE_SECONDS):
            raise TimeoutError("Redis did not begin to rewrite the append-only file")

    @staticmethod
    def _rewrites(client: "Redis") -> bool:
        found = client.info("persistence")
        return bool(found["aof_rewrite_in_progress"] or found["aof_rewrite_scheduled"])


def _accepted(write: Callable[[], object]) -> bool:
    """Redis refuses while another child of it writes."""
    try:
        write()
    except RedisError:
        return False
    return True
